/** Meshes, layouts, communicators and the boundary between components laid out differently. */
@org.jspecify.annotations.NullMarked
module dev.heddle.parallel {
  requires transitive dev.heddle.runtime;
  requires static org.jspecify;

  exports dev.heddle.parallel.comm;
  exports dev.heddle.parallel.comm.local;
}
