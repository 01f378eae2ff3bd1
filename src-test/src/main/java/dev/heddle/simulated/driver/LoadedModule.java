package dev.heddle.simulated.driver;

/** A module that is loaded in a context. */
final class LoadedModule implements InContext {
  private final SimulatedContext context;
  final KernelImage image;
  boolean unloaded;

  LoadedModule(SimulatedContext context, KernelImage image) {
    this.context = context;
    this.image = image;
  }

  @Override
  public SimulatedContext context() {
    return context;
  }

  @Override
  public String toString() {
    return "a module on " + context.gpu;
  }
}
