/** Tensors that remember how they were made, and the reverse-mode engine. */
@org.jspecify.annotations.NullMarked
module dev.heddle.autograd {
  requires transitive dev.heddle.runtime;
  requires static org.jspecify;

  exports dev.heddle.autograd;
}
