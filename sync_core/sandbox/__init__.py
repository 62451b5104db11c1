"""A Stripe to try it on, with Stripe's awkward rules, in its own process and deterministic by seed."""
