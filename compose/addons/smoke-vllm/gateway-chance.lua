-- Whether a question leaves nothing to chance: the engine's most likely word, each time.

local cjson = require("cjson.safe")

-- The profile has the engine sample around the temperature, whatever a question says.
local ENGINE_SAMPLES = os.getenv("ENGINE_SAMPLES") == "true"

-- Where one of these is something else, the answer is chance even at temperature 0: several answers,
-- a search among several, and llama.cpp's ways to sample around the temperature.
local NO_CHANCE = {
  temperature = 0,
  n = 1,
  n_cmpl = 1,
  best_of = 1,
  use_beam_search = false,
  dynatemp_range = 0,
  mirostat = 0,
  xtc_probability = 0,
}

-- Fields that choose among no words by chance, of llama-server b11434 and vLLM 0.32. With any other
-- one nothing is kept: `samplers` leaves the temperature out, `t_max_predict_ms` ends by the clock,
-- `vllm_xargs` is for code of the operator's, and what a later engine adds is not known at all.
local KNOWN = [[
  model messages prompt suffix echo max_tokens max_completion_tokens stop stream stream_options seed
  top_p frequency_penalty presence_penalty logit_bias logprobs top_logprobs response_format tools
  tool_choice parallel_tool_calls reasoning_effort user metadata store

  n_predict n_keep n_probs n_indent top_k min_p min_keep typical_p top_n_sigma repeat_penalty
  repeat_last_n dry_multiplier dry_base dry_allowed_length dry_penalty_last_n dry_sequence_breakers
  dynatemp_exponent mirostat_tau mirostat_eta xtc_threshold grammar json_schema ignore_eos
  cache_prompt return_tokens timings_per_token return_progress post_sampling_probs response_fields
  lora reasoning_format reasoning_budget_tokens reasoning_budget_message thinking_budget_tokens
  chat_template_kwargs add_generation_prompt continue_final_message documents

  repetition_penalty length_penalty stop_token_ids include_stop_str_in_output min_tokens
  skip_special_tokens spaces_between_special_tokens truncate_prompt_tokens truncation_side
  prompt_logprobs logprob_token_ids allowed_token_ids bad_words add_special_tokens chat_template
  structured_outputs include_reasoning thinking_token_budget return_token_ids
  return_tokens_as_token_ids
]]

local known = {}
for name in KNOWN:gmatch("%S+") do known[name] = true end

local function leaves_nothing(name, asked)
  if asked == cjson.null then return true end
  if NO_CHANCE[name] ~= nil then return asked == NO_CHANCE[name] end
  return known[name] or false
end

-- `question` is the decoded body. An embedding is computed; no word of it is chosen.
return function(path, question)
  if path == "/v1/embeddings" then return true end
  if ENGINE_SAMPLES or question.temperature ~= 0 then return false end
  for name, asked in pairs(question) do
    if not leaves_nothing(name, asked) then return false end
  end
  return true
end
