package dev.heddle.simulated.driver;

/** A kernel of a loaded module; ends with it. */
final class LoadedFunction implements InContext {
  final LoadedModule module;
  final KernelImage.Kernel kernel;
  int dynamicSharedBytes;

  LoadedFunction(LoadedModule module, KernelImage.Kernel kernel) {
    this.module = module;
    this.kernel = kernel;
    this.dynamicSharedBytes = Limits.SHARED_BYTES - kernel.staticSharedBytes();
  }

  @Override
  public SimulatedContext context() {
    return module.context();
  }

  @Override
  public boolean counts() {
    return false;
  }
}
