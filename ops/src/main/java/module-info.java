/** Differentiable operators, modules and optimizers. */
@org.jspecify.annotations.NullMarked
module dev.heddle.ops {
  requires transitive dev.heddle.autograd;
  requires static org.jspecify;

  exports dev.heddle.nn;
  exports dev.heddle.ops;
  exports dev.heddle.optim;
}
