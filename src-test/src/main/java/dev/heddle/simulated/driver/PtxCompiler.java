package dev.heddle.simulated.driver;

final class PtxCompiler implements KernelImage.Compiler {
  @Override
  public KernelImage compile(SimulatedGpu gpu, String ptx) {
    throw new IllegalArgumentException("no interpreter yet");
  }
}
