/*
 * model_presets: see the header.
 *
 * The profile is written from its row and nothing else, so that it is the same
 * wherever it is bound. It says where the runtime usually answers and what the
 * model needs; nothing is fetched or started by it.
 */
#include "plane/model_presets.h"

#define LAPTOP "urn:srcos:model-profile:llama32-1b"
#define BETTER "urn:srcos:model-profile:llama32-3b"

const struct model_preset model_presets[] = {
    { .name = "llama3.2:1b",
      .urn = LAPTOP,
      .title = "Llama 3.2 1B, laptop default",
      .size = "1b",
      .roles = "\"router\",\"triage\",\"summarization\",\"rewrite\",\"office-assist\","
               "\"agent-machine-assist\",\"offline-fallback\",\"privacy-first-chat\"",
      .disk_mb = 1321,
      .memory_mb = 3072,
      .prompt_chars = 16000,
      .fallback = "[\"" BETTER "\"]" },
    { .name = "llama3.2:3b",
      .urn = BETTER,
      .title = "Llama 3.2 3B, better answers",
      .size = "3b",
      .roles = "\"summarization\",\"rewrite\",\"office-assist\",\"agent-machine-assist\","
               "\"offline-fallback\",\"coding-assist\",\"privacy-first-chat\"",
      .disk_mb = 2019,
      .memory_mb = 6144,
      .prompt_chars = 32000,
      .fallback = "[]" },
};
const size_t model_preset_count = ARRAY_LEN(model_presets);

const struct model_preset *model_preset_find(const char *name)
{
    for (size_t i = 0; i < model_preset_count; i++)
        if (strcmp(model_presets[i].name, name) == 0)
            return &model_presets[i];
    return NULL;
}

void model_preset_write(const struct model_preset *preset, struct buf *ret)
{
    buf_addf(ret,
             "{\"schemaVersion\":\"v0.1\",\"kind\":\"LocalModelProfile\",\"profileId\":\"%s\","
             "\"displayName\":\"%s\",\"runtime\":{\"kind\":\"ollama\",\"endpoint\":"
             "\"http://127.0.0.1:11434\",\"defaultLocalPort\":11434,\"launchCommand\":"
             "\"ollama serve\",\"healthCommand\":\"ollama list\"}",
             preset->urn, preset->title);
    buf_addf(ret,
             ",\"model\":{\"provider\":\"Meta\",\"family\":\"Llama 3.2\",\"name\":\"%s\","
             "\"parameterClass\":\"%s\",\"licenseRef\":"
             "\"https://www.llama.com/llama3_2/license/\",\"ollamaRef\":\"%s\",\"ggufRef\":null,"
             "\"contextWindowHint\":131072,\"diskSizeHintMb\":%u,\"memoryHintMb\":%u,"
             "\"sourceRef\":\"https://ollama.com/library/llama3.2\"},\"roles\":[%s]",
             preset->name, preset->size, preset->name, preset->disk_mb, preset->memory_mb,
             preset->roles);
    buf_addf(ret,
             ",\"policy\":{\"localOnlyDefault\":true,\"sendPromptOffDeviceDefault\":false,"
             "\"allowToolUse\":false,\"allowNetwork\":false,\"allowModelDownload\":false,"
             "\"requiresExplicitPull\":true,\"maxPromptChars\":%u,\"fallbackProfileRefs\":%s},"
             "\"evidence\":{\"emitModelAvailability\":true,\"emitRuntimeHealth\":true,"
             "\"emitRoutingDecision\":true,\"emitPromptHashOnly\":true}}",
             preset->prompt_chars, preset->fallback);
}
