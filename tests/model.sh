# Models at the command line: bound to a profile, explained, unbound.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit
export XDG_STATE_HOME="$scratch/state" XDG_CONFIG_HOME="$scratch/config"
hosted="$tree/examples/external_model_provider_profile.byom_openai_compatible.json"

run model list
check "without a ledger there is nothing to list" exits 1
run init
run model list
check "at first nothing is bound" out_has "no model is bound"

# ---- what cannot be bound ----

run model bind no-such-thing
check "what is nowhere cannot be bound" exits 1
check "the presets are named" err_has "llama3.2:1b"
run model bind "$tree/examples/agent-machine-profile.linux.example.json"
check "nor what is no provider" exits 65
run model bind "$hosted"
check "of a hosted provider the models are to be named" exits 2
run model bind "$hosted" --model big
check "its prompts do not leave by themselves" exits 77
check "and it is said by what word they would" err_has "--egress allow-with-policy"
run model bind "$hosted" --model big --egress allow-with-policy
check "nor without its terms" err_has "--accept-terms"
run model bind "$hosted" --model big --egress allow-with-policy --accept-terms
check "nor without the user's consent" err_has "--consent-personal-data"
run model bind "$hosted" --model big --output-tokens many
check "many is no number" exits 2
run model bind "$hosted" --model big --egress always --accept-terms --consent-personal-data
check "a rule that there is not is refused" exits 65
for class in aws-bedrock google-vertex tgi; do
    sed "s/\"openai-compatible\"/\"$class\"/" "$hosted" >"$class.json"
    run model bind "$class.json" --model big
    check "$class is unsupported by name" err_has "this release does not speak to"
done
run profile create --name mine --kind airgapped-local-only
run model bind "$hosted" --profile mine --model big --egress allow-with-policy --accept-terms \
    --consent-personal-data
check "under an airgapped profile no hosted provider is bound" exits 77
check "and it is said why" err_has "stay on this machine"
run model list
check "nothing of that is bound" out_has "no model is bound"

# ---- what can ----

run model bind llama3.2:1b
check "a preset is bound in three words" exits 0
check "its record is named" out_has "urn:srcos:model-provider-binding:"
first=$(cat "$scratch/out")
run model bind llama3.2:1b
check "once" exits 1
check "and it is said by what" err_has "$first"
run model bind "$hosted" --model big --model small=north-8b --egress allow-with-policy \
    --accept-terms --consent-personal-data --on-secret mask --image-tokens 1536 --json
check "a hosted provider is bound with consent" exits 0
check "its operation is told" out_has '"state":"completed"'
run model list
check "both are listed" out_has "urn:srcos:external-model-provider-profile:byom-openai-compatible"
check "with what becomes of prompts" out_has "stay on this machine"
run model list --json
check "as the records that they are" out_has '"onSecret":"mask"'
check "with what is reserved" out_has '"imageTokens":1536'

# ---- which one answers ----

run model route
check "a route is of a model" exits 2
run model route --model llama3.2:1b
check "a local model is answered by its binding" out_has "$first"
check "with the reason" out_has "A local route answers this model name."
run model route --model small --json
check "a name is another one upstream" out_has '"upstreamModel":"north-8b"'
run model route --model small --protocol anthropic --json
check "a client that speaks otherwise has its route too" exits 0
check "by translation, which is told" out_has "translated to OpenAI's chat completions"
run model route --model nothing
check "what no binding answers has no route" exits 1
run model usage
check "nothing was called" out_has "no model was called"

# ---- what no surface gives ----

for verb in promote retire tune; do
    run model $verb llama3.2:1b
    check "$verb is refused" exits 77
    check "$verb: with what would be needed" err_has "a separate consented contract, and an evidence"
done
sed -e 's/"notes": "[^"]*"/"notes": "This profile may promote models."/' \
    "$tree/examples/local-model-profile.llama32-1b.json" >promotes.json
grep -q "may promote" promotes.json || sed -i 's/"schemaVersion"/"notes": "This profile may promote models.", "schemaVersion"/' promotes.json
run model bind promotes.json
check "nor is it had by a document that claims it" exits 65
check "by its rule" err_has "carry."
printf '{"operationType":"agent_machine.model.tune"}' >tune.json
run op submit tune.json
check "nor by a command" exits 65

# ---- and no longer ----

run model unbind llama3.2:1b --reason "For the tests."
check "a binding is undone" exits 0
run model route --model llama3.2:1b
check "then nothing answers its name" exits 1
run model unbind llama3.2:1b
check "it is undone once" exits 1
run model bind llama3.2:1b
check "and may be bound anew" exits 0
operation=$(sed 's/model-provider-binding/workspace-operation/' "$scratch/out")
run op compensate "$operation" --reason "It was a mistake."
check "to compensate the operation unbinds it too" exits 0
run model route --model llama3.2:1b
check "so that nothing answers" exits 1
run ledger verify
check "the ledger is whole" exits 0

finish
