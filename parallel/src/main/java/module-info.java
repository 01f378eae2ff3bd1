/** Meshes, layouts, communicators, the boundary, sharded layers and the model runner. */
@org.jspecify.annotations.NullMarked
module dev.heddle.parallel {
  requires transitive dev.heddle.ops;
  requires static org.jspecify;

  exports dev.heddle.parallel.comm;
  exports dev.heddle.parallel.comm.local;
  exports dev.heddle.parallel.comm.mpi;
  exports dev.heddle.parallel.comm.nccl;
  exports dev.heddle.parallel.comm.staged;
  exports dev.heddle.parallel.component;
  exports dev.heddle.parallel.context;
  exports dev.heddle.parallel.data;
  exports dev.heddle.parallel.layout;
  exports dev.heddle.parallel.mesh;
  exports dev.heddle.parallel.pipeline;
  exports dev.heddle.parallel.redistribute;
  exports dev.heddle.parallel.tensor;
  exports dev.heddle.parallel.trace;
}
