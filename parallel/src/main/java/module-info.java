/** Meshes, layouts and the boundary between components that are laid out differently. */
@org.jspecify.annotations.NullMarked
module dev.heddle.parallel {
  requires static org.jspecify;

  exports dev.heddle.parallel.layout;
  exports dev.heddle.parallel.mesh;
}
