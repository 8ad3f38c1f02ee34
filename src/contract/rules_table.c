/* rules_table: every rule of the product, one row each. */
#include "contract/rules_table.h"

const struct rule rules_table[] = {
    { "document.no-inline-credential", "*", SEVERITY_ERROR,
      "A credential is never written into a document; it is named by reference.",
      check_inline_credential, "external_model_provider_profile.byom_openai_compatible.json",
      "external_model_provider_profile.inline_credential.json" },
    { "document.references-resolve", "*", SEVERITY_ERROR,
      "A reference to a document of the catalogue names one of the documents given.",
      check_references_resolve, "network_access_profile.enterprise_and_user.json",
      "network_access_profile.unresolved_reference.json" },
    { "document.ids-differ", "*", SEVERITY_ERROR, "No two documents have the same id.",
      check_ids_differ, "network_access_profile.airgapped.json",
      "network_access_profile.same_id_as_airgapped.json" },
    { "document.dates-are-real", "*", SEVERITY_ERROR,
      "A timestamp names a day and a time that exist.", check_real_dates,
      "agent-machine-fingerprint.example.json",
      "agent-machine-fingerprint.day_that_does_not_exist.json" },
};
const size_t rules_count = ARRAY_LEN(rules_table);
