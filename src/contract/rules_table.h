/* rules_table: the checks behind the one table of rules, declared. */
#ifndef AM_CONTRACT_RULES_TABLE_H
#define AM_CONTRACT_RULES_TABLE_H

#include "contract/rules.h"

/* rules_common.c: every document */
rule_check check_inline_credential, check_references_resolve, check_ids_differ, check_real_dates;

/* rules_doors.c */
rule_check check_enterprise_first, check_precedence_order, check_mesh_without_firewall,
    check_mesh_model_egress, check_fixed_switches, check_side_effects_default, check_id_given_twice,
    check_reference_of_other_kind;
/* rules_destinations.c: of the doors family too */
rule_check check_user_allows_denied, check_public_suffix_wildcard, check_offline_reaches_nothing,
    check_allow_cancelled, check_star_restates_default, check_address_among_names,
    check_cidr_has_host_bits;
/* rules_machine.c */
rule_check check_mount_covers_host_secret, check_mount_outside_allow_list,
    check_agent_path_claimed_twice, check_local_profile_reaches_hosted_provider,
    check_surface_name_undefined, check_name_given_twice, check_environment_carries_secret,
    check_surface_lists_model_host, check_fingerprint_below_profile,
    check_fingerprint_contradicts_execution;
/* rules_operations.c */
rule_check check_event_chain_links, check_event_document_digest, check_parameters_digest,
    check_safe_argument_index, check_delegation_covers, check_gates_passed,
    check_awaited_card_pending, check_time_order, check_prompt_egress_sum, check_storm_adds_up,
    check_bundle_redaction_sum, check_bundle_sorted, check_bundle_within_limit;
/* rules_delegation.c */
rule_check check_delegation_window, check_delegation_narrows, check_budget_balance,
    check_budget_within_parent, check_verdict_never_wider, check_decision_default_denies,
    check_decision_answer_offered, check_decision_answered_by_entitled,
    check_grant_within_delegation;
/* rules_authority.c */
rule_check check_capability_declared_once, check_capability_decided_once, check_denial_is_explained,
    check_grant_covers_contract, check_fallback_broker_is_declared,
    check_no_ambient_grant_for_agents, check_storm_window, check_storm_samples_within,
    check_cause_is_earlier, check_network_layers_agree, check_registry_verdict_has_cause,
    check_registry_records_agree, check_phase_block_is_later, check_component_blocked_or_allowed,
    check_block_has_hint, check_phase_gate_follows_contract;
/* rules_carry.c */
rule_check check_no_authority_claim, check_tuning_needs_consent, check_local_model_stays_local,
    check_pull_is_explicit, check_command_may_download, check_digest_covers_document,
    check_fallback_is_signed, check_one_digest_per_reference, check_pinned_digest_matches,
    check_fallback_is_permitted, check_release_set_names_document;

#endif
