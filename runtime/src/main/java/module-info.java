/** Where bytes live and where kernels run. */
@org.jspecify.annotations.NullMarked
module dev.heddle.runtime {
  requires transitive dev.heddle.bindings;
  requires static org.jspecify;
  requires static jdk.incubator.vector;

  exports dev.heddle.runtime;
  exports dev.heddle.runtime.memory;
  exports dev.heddle.runtime.cpu;
  exports dev.heddle.runtime.cuda;
}
