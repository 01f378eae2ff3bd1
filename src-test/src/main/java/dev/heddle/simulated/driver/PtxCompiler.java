package dev.heddle.simulated.driver;

import dev.heddle.simulated.ptx.PtxKernel;
import dev.heddle.simulated.ptx.PtxModule;
import dev.heddle.simulated.simt.LaunchReport;
import dev.heddle.simulated.simt.Simulator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** Modules of PTX text, their kernels executed by the interpreter. */
final class PtxCompiler implements KernelImage.Compiler {
  private static final Pattern TARGET = Pattern.compile("sm_(\\d+)\\w*");

  @Override
  public KernelImage compile(SimulatedGpu gpu, String ptx) {
    return new Image(Simulator.load("PTX", ptx));
  }

  private static final class Image implements KernelImage {
    private final PtxModule module;
    private final Map<String, Kernel> kernels = new HashMap<>();

    private Image(PtxModule module) {
      this.module = module;
      for (PtxKernel kernel : module.kernels()) {
        kernels.put(kernel.name(), new Interpreted(kernel));
      }
    }

    @Override
    public int target() {
      Matcher target = TARGET.matcher(module.target());
      if (!target.matches()) {
        throw new IllegalArgumentException("target " + module.target() + ": want sm_ and a number");
      }
      return Integer.parseInt(target.group(1));
    }

    @Override
    public @Nullable Kernel kernel(String name) {
      return kernels.get(name);
    }

    @Override
    public void unload(SimulatedGpu gpu) {
      gpu.simulator.unload(module);
    }
  }

  private record Interpreted(PtxKernel kernel) implements KernelImage.Kernel {
    @Override
    public String name() {
      return kernel.name();
    }

    @Override
    public List<KernelImage.Parameter> parameters() {
      return kernel.parameters().stream()
          .map(each -> new KernelImage.Parameter(each.offset(), each.byteSize()))
          .toList();
    }

    @Override
    public int parameterBytes() {
      return kernel.parameterBytes();
    }

    @Override
    public int staticSharedBytes() {
      return kernel.staticSharedBytes();
    }

    @Override
    public int maximumThreads() {
      return kernel.maxThreads() == 0
          ? Limits.THREADS_PER_BLOCK
          : Math.min(kernel.maxThreads(), Limits.THREADS_PER_BLOCK);
    }

    @Override
    public LaunchReport run(SimulatedGpu gpu, KernelImage.Launch launch) {
      return gpu.simulator.launch(
          kernel,
          gpu,
          new dev.heddle.simulated.simt.Launch(
              launch.grid().x(),
              launch.grid().y(),
              launch.grid().z(),
              launch.block().x(),
              launch.block().y(),
              launch.block().z(),
              launch.sharedBytes(),
              launch.parameters(),
              gpu.execution));
    }
  }
}
