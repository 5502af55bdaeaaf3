"""Writers of the functions over all values: laws, masks, successors, rewards, kernels."""

from math import prod

from mfdsl.compiler.backend.torch_field import marginal_of_law, offset
from mfdsl.compiler.backend.torch_writer import Writer, commas


def initial_law(w: Writer) -> str:
    """`initial_law`: the product of the initial probabilities of the states."""
    rank = 1 + len(w.sizes)
    values = {s.name: f"s.{w.field_of(s)}" for s in w.states}
    body = [*w.values(rank, "s"), *w.widen(rank, w.initials)]
    body.append(f"law = {' * '.join(f.call(values) for f in w.initials)}")
    body.append(f"return law.expand(-1, {commas(w.sizes)})")
    doc = "Law of the states at t = 0, [B or 1, *S]."
    return w.function("initial_law", "p", "Tensor", doc, body)


def legal(w: Writer) -> str:
    """`legal`: the mask, or all true."""
    states, actions = prod(w.sizes), prod(w.action_sizes)
    if w.legal is None:
        body = [
            f"return torch.ones(1, {states}, {actions}, dtype=torch.bool, device=p.unit.device)"
        ]
    else:
        rank = 1 + len(w.sizes) + len(w.action_sizes)
        body = w.values(rank, w.read([w.legal], "sa"))
        body += w.widen(rank, [w.legal])
        axes = commas([*w.sizes, *w.action_sizes])
        body.append(f"allowed = {w.legal.call()}")
        body.append(f"return allowed.expand(-1, {axes}).reshape(-1, {states}, {actions})")
    return w.function("legal", "pt", "Tensor", "Legal actions, bool [B or 1, S, A].", body)


def successors(w: Writer) -> str:
    """`successors`: the next state of every state, action and noise outcome."""
    body = w.values(w.rank, w.read([w.next], "sae"))
    body += w.widen(w.rank, [w.next])
    body.append(f"y = {w.next.call()}")
    flat = ""
    for state, size in zip(w.states, w.sizes, strict=True):
        here = offset(f"y.{w.field_of(state)}", w.first(state))
        if not flat:
            flat = here
        else:
            left = f"({flat})" if " " in flat else flat
            flat = f"{left} * {size} + {here}"
    axes = commas([*w.sizes, *w.action_sizes, *w.noise_sizes])
    shape = f"{prod(w.sizes)}, {prod(w.action_sizes)}, {prod(w.noise_sizes)}"
    body.append(f"flat = {flat}")
    body.append(f"return flat.expand(-1, {axes}).reshape(-1, {shape})")
    doc = "Flat next state for each noise outcome, int64 [B or 1, S, A, K]."
    return w.function("successors", "ptf", "Tensor", doc, body)


def weights(w: Writer) -> str:
    """`weights`: the product of the probabilities of the noises."""
    doc = "Probability of each noise outcome, [B or 1, S or 1, A or 1, K]."
    if not w.chances:
        body = ["return p.unit.new_ones(1, 1, 1, 1)"]
        return w.function("weights", "ptf", "Tensor", doc, body)
    states, actions = w.weight_sizes()
    values = {n.name: f"e.{w.field_of(n)}" for n in w.population.noises}
    body = w.values(w.rank, w.read(w.chances, "sa") + "e")
    body += w.widen(w.rank, w.chances)
    body.append(f"chance = {' * '.join(c.call(values) for c in w.chances)}")
    axes = commas([*states, *actions, *w.noise_sizes])
    shape = f"{prod(states)}, {prod(actions)}, {prod(w.noise_sizes)}"
    body.append(f"return chance.expand(-1, {axes}).reshape(-1, {shape})")
    return w.function("weights", "ptf", "Tensor", doc, body)


def rewards(w: Writer) -> list[str]:
    """`rewards` and `reward_terms`."""
    states, actions = prod(w.sizes), prod(w.action_sizes)
    doc = "Expected reward, [B, S, A]; m is the joint law."
    if not w.has_running():
        zeros = f"return p.unit.new_zeros(1, {states}, {actions})"
        return [
            w.function("rewards", "ptm", "Tensor", doc, [zeros]),
            w.function("reward_terms", "ptm", "dict[str, Tensor]", "No terms.", ["return {}"]),
        ]
    # summed while terms are as narrow as what they read: a large game has little else to pay
    body, value = _running(w)
    terms = f"{w.terms.call()}.values()"
    total = f"sum({terms})" if value == "v" else f"sum({value} for v in {terms})"
    body = [*body, f"v = {total}", f"return {_whole(w, 'v')}"]
    return [w.function("rewards", "ptm", "Tensor", doc, body), reward_terms(w)]


def reward_terms(w: Writer) -> str:
    """`reward_terms`: averaged over the noise where some reward reads it."""
    body, value = _running(w)
    body.append(f"terms = {w.terms.call()}")
    body += ["return {", f"    name: {_whole(w, value)}", "    for name, v in terms.items()", "}"]
    doc = "Each named expected reward, [B, S, A]."
    return w.function("reward_terms", "ptm", "dict[str, Tensor]", doc, body)


def _running(w: Writer) -> tuple[list[str], str]:
    """The lines before rewards, and a reward `v`, averaged over the noise as far as it reads it."""
    used = [w.terms, *(w.chances if w.noisy_rewards else [])]
    body = ["f = field(p, t, m)"] if w.read(used, "f") else []
    value, rank = "v", 1 + len(w.sizes) + len(w.action_sizes)
    if w.noisy_rewards:
        given = "f" if w.read(used, "f") else "Field()"
        by_state, by_action = w.weight_sizes()
        shape = commas([*by_state, *by_action, *w.noise_sizes])
        given = given if not w.plan.running.marginals or "f" in given else "field(p, t, m)"
        body.append(f"chance = weights(p, t, {given}).reshape(-1, {shape})")
        w.shared.helpers.add("_averaged")
        value, rank = f"_averaged(v, chance, {len(w.noise_sizes)})", w.rank
    body += w.values(rank, w.read([w.terms], "sae"))
    body += w.widen(rank, [w.terms])
    return body, value


def _whole(w: Writer, value: str) -> str:
    """A reward as [B, S, A]."""
    axes = commas([*w.sizes, *w.action_sizes])
    return f"{value}.expand(-1, {axes}).reshape(-1, {prod(w.sizes)}, {prod(w.action_sizes)})"


def final_rewards(w: Writer) -> str:
    """`final_rewards`: the sum of the final terms, or zeros."""
    states = prod(w.sizes)
    doc = "Reward at the end, [B, S]; m is the law of the states, [B, *S]."
    if not w.has_final():
        zeros = [f"return p.unit.new_zeros(1, {states})"]
        return w.function("final_rewards", "ptm", "Tensor", doc, zeros)
    rank = 1 + len(w.sizes)
    body = []
    if w.read([w.final], "f"):
        marginals = w.plan.final.marginals
        given = [i for i in "pt" if i in w.final_reads]
        given += [marginal_of_law(w.plan, v, final=True) for v in marginals]
        body.append(f"f = _wide_final(_final_field({', '.join(given)}), {rank})")
    body += w.values(rank, w.read([w.final], "s"))
    body += w.widen(rank, [w.final], field="final")
    body.append(f"total = sum({w.final.call()}.values())")
    body.append(f"return total.expand(-1, {commas(w.sizes)}).reshape(-1, {states})")
    return w.function("final_rewards", "ptm", "Tensor", doc, body)


def kernel(w: Writer) -> str:
    """`kernel`: dense, for small games and tests."""
    states, actions = prod(w.sizes), prod(w.action_sizes)
    axes = commas([*w.sizes, *w.action_sizes, *w.sizes])
    body = [
        "f = field(p, t, m)",
        "to, chance = torch.broadcast_tensors(successors(p, t, f), weights(p, t, f))",
        f"dense = chance.new_zeros(len(chance), {states}, {actions}, {states})",
        f"return dense.scatter_add(3, to, chance).reshape(-1, {axes})",
    ]
    doc = "Dense kernel, [B or 1, *S, *A, *S]; m is the joint law."
    return w.function("kernel", "ptm", "Tensor", doc, body)


def push(w: Writer) -> str:
    """`push`: the next law, without the dense kernel."""
    states, actions = prod(w.sizes), prod(w.action_sizes)
    body = [
        "f = field(p, t, m)",
        f"mass = m.reshape(-1, {states}, {actions}, 1) * weights(p, t, f)",
        "to, mass = torch.broadcast_tensors(successors(p, t, f), mass)",
        f"after = mass.new_zeros(len(mass), {states})",
        "after = after.scatter_add(1, to.flatten(1), mass.flatten(1))",
        f"return after.reshape(-1, {commas(w.sizes)})",
    ]
    doc = "Law of the states one stage after the joint law m, [B, *S]."
    return w.function("push", "ptm", "Tensor", doc, body)
