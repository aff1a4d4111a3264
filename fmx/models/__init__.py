"""Networks: flax.linen modules, pure functions of their variables."""
