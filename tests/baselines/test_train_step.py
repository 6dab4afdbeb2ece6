"""One optimizer step of each method against a plain, slow implementation written here from the formulas.

Plain and slow: one padded batch of responses and prompts, logits of the whole vocabulary for all of them, all hidden
states kept, the reference model run beside the policy.
"""

import copy

import pytest
import torch
from torch.nn import functional as F
from training import ROWS, assert_same_gradients, build, one_step, padded
from transformers import AutoModelForCausalLM, AutoTokenizer

from mlc_bench.baselines.mlc.hidden_states import EXTRACTOR
from mlc_bench.baselines.mlc.trainer import PromptLoss

TAU, LAMBDA, BETA, GAMMA = 0.2, 0.8, 0.1, 0.5


class Plain:
    """The formulas on one row at a time."""

    def __init__(self, folder, extractor):
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self.frozen = copy.deepcopy(self.model).requires_grad_(False)
        self.extractor = torch.nn.Linear(extractor["weight"].shape[1], extractor["weight"].shape[0])
        self.extractor.load_state_dict(extractor)

    def encode(self, *turns, ask=False):
        roles = [{"role": role, "content": text} for role, text in zip(("user", "assistant"), turns, strict=False)]
        return self.tokenizer.apply_chat_template(roles, add_generation_prompt=ask, return_dict=False)

    def row(self, row):
        """Log-probs of the response tokens (chosen, rejected) under policy and reference, and L_cons of the row."""
        start = self.encode(row["prompts"]["en"], ask=True)
        pair = [self.encode(row["prompts"]["en"], row[part]) for part in ("chosen", "rejected")]
        prompts = [self.encode(text, ask=True) for text in row["prompts"].values()]
        everything = pair + prompts
        tokens = padded(everything)
        mask = padded([[1] * len(ids) for ids in everything])
        output = self.model(input_ids=tokens, attention_mask=mask, output_hidden_states=True)
        reference = self.frozen(input_ids=tokens, attention_mask=mask)
        log_probs = {
            name: [
                torch.stack([logits[i, t - 1].log_softmax(-1)[ids[t]] for t in range(len(start), len(ids))])
                for i, ids in enumerate(pair)
            ]
            for name, logits in (("policy", output.logits), ("reference", reference.logits))
        }
        last = torch.stack([output.hidden_states[-1][2 + i, len(ids) - 1] for i, ids in enumerate(prompts)])
        return log_probs["policy"], log_probs["reference"], self.consistency(last)

    def consistency(self, last):
        z = F.normalize(self.extractor(last), dim=-1)
        s = torch.linalg.svdvals(z)
        return F.cross_entropy((s / s[0].detach() / TAU).unsqueeze(0), torch.tensor([0]))

    def loss(self, method):
        rows = [self.row(row) for row in ROWS]
        if method == "sft":
            tokens = torch.cat([policy[0] for policy, _, _ in rows])
            align = -tokens.mean()
        else:
            align = torch.stack([PAIRWISE[method](*policy, *reference) for policy, reference, _ in rows]).mean()
        return align + LAMBDA * torch.stack([consistency for _, _, consistency in rows]).mean()

    def gradients(self):
        ours = (
            {f"{EXTRACTOR}.{name}": p.grad for name, p in self.extractor.named_parameters()} if self.extractor else {}
        )
        return {name: parameter.grad for name, parameter in self.model.named_parameters()} | ours


def dpo(chosen, rejected, reference_chosen, reference_rejected):
    ratio = (chosen.sum() - reference_chosen.sum()) - (rejected.sum() - reference_rejected.sum())
    return -F.logsigmoid(BETA * ratio)


def simpo(chosen, rejected, *_):
    return -F.logsigmoid(BETA * (chosen.mean() - rejected.mean()) - GAMMA)


def orpo(chosen, rejected, *_):
    def log_odds(log_probs):
        mean = log_probs.mean()
        return mean - torch.log1p(-mean.exp())

    return -chosen.mean() - BETA * F.logsigmoid(log_odds(chosen) - log_odds(rejected))


PAIRWISE = {"dpo": dpo, "simpo": simpo, "orpo": orpo}


@pytest.mark.parametrize("size", [1, 4], ids=["four batches of one", "one batch of four"])
@pytest.mark.parametrize("method", ["dpo", "simpo", "orpo", "sft"])
def test_a_step_equals_the_formulas(method, size, tiny_model, tmp_path):
    """The published settings: tau 0.2, lambda 0.8, extractor 512, last layer, beta 0.1, batch 1 x accumulation 4.

    One batch of four has the same gradients.
    """
    _, trainer = build(method, tiny_model, tmp_path, mlc={}, batch_size=size, accumulation=4 // size)
    plain = Plain(tiny_model, {k: v.clone() for k, v in getattr(trainer.model, EXTRACTOR).state_dict().items()})
    loss, gradients = one_step(trainer)
    expected = plain.loss(method)
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    assert_same_gradients(gradients, plain.gradients(), 1e-5)


def test_a_moved_policy_is_held_against_the_reference(tiny_model, other_tiny_model, tmp_path):
    """With another reference the log-ratios are not zero, so the sum over tokens and beta matter."""
    _, trainer = build("dpo", tiny_model, tmp_path, mlc={}, reference=str(other_tiny_model))
    plain = Plain(tiny_model, {k: v.clone() for k, v in getattr(trainer.model, EXTRACTOR).state_dict().items()})
    plain.frozen = AutoModelForCausalLM.from_pretrained(other_tiny_model, dtype=torch.float32).requires_grad_(False)
    loss, gradients = one_step(trainer)
    expected = plain.loss("dpo")
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    assert_same_gradients(gradients, plain.gradients(), 1e-5)


def test_cosine_in_a_batch_of_four_equals_four_accumulated(tiny_model, tmp_path):
    steps = [
        one_step(build("cosine", tiny_model, tmp_path, name, batch_size=size, accumulation=4 // size)[1])
        for name, size in (("whole", 4), ("parts", 1))
    ]
    assert steps[0][0] == pytest.approx(steps[1][0], rel=1e-5)
    assert_same_gradients(steps[0][1], steps[1][1], 1e-5)


def test_one_backward_pass_for_both_losses_gives_the_same(tiny_model, tmp_path, monkeypatch):
    """As under DeepSpeed. sft, whose own loss is not divided by the accumulation steps."""
    two = one_step(build("sft", tiny_model, tmp_path, "two", mlc={})[1])
    monkeypatch.setattr(PromptLoss, "_is_deepspeed", lambda self: True)
    one = one_step(build("sft", tiny_model, tmp_path, "one", mlc={})[1])
    assert one[0] == pytest.approx(two[0], rel=1e-6)
    assert_same_gradients(one[1], two[1], 1e-5)


def test_gradient_checkpointing_changes_nothing(tiny_model, tmp_path):
    steps = [
        one_step(
            build("dpo", tiny_model, tmp_path, str(on), gradient_checkpointing=on, mlc={"layer": 1}, lora={"r": 4})[1]
        )
        for on in (False, True)
    ]
    assert steps[0][0] == pytest.approx(steps[1][0], rel=1e-6)
    assert_same_gradients(steps[1][1], steps[0][1], 1e-5)
