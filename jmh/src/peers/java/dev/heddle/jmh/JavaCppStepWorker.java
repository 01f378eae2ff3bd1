package dev.heddle.jmh;

import static org.bytedeco.pytorch.global.torch.clear_cache;
import static org.bytedeco.pytorch.global.torch.globalContext;
import static org.bytedeco.pytorch.global.torch.set_autocast_cache_enabled;
import static org.bytedeco.pytorch.global.torch.set_autocast_dtype;
import static org.bytedeco.pytorch.global.torch.set_autocast_enabled;
import static org.bytedeco.pytorch.global.torch.set_num_threads;

import java.io.IOException;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.DeviceType;
import org.bytedeco.pytorch.global.torch.ScalarType;

/** The stronger peer: {@link JavaCppModel} in libtorch, with its fused AdamW. */
public final class JavaCppStepWorker {
  private final JavaCppModel model;
  private final FusedAdamW optimizer;
  private final boolean autocast;
  private final Clock clock;
  private long optimizerNanos;

  private JavaCppStepWorker(JavaCppModel model, boolean narrow, boolean autocast, int threads) throws IOException {
    this.model = model;
    this.optimizer = new FusedAdamW(model.masters(), model.weights(), narrow);
    this.autocast = autocast;
    this.clock = new Clock(threads);
  }

  private double step() {
    double value;
    try (PointerScope scope = new PointerScope()) {
      set_autocast_enabled(DeviceType.CPU, autocast);
      Tensor loss = model.loss();
      value = loss.item_float();
      set_autocast_enabled(DeviceType.CPU, false);
      loss.backward();
      if (autocast) {
        clear_cache();
      }
      long start = clock.nanos();
      optimizer.step();
      optimizerNanos = clock.nanos() - start;
    }
    return value;
  }

  /**
   * Arguments: the model's name, the number of threads, the precision; {@code flash} or {@code
   * composed} attention; for bf16 {@code autocast} or {@code weights} in bf16.
   */
  public static void main(String[] arguments) throws IOException {
    int threads = Integer.parseInt(arguments[1]);
    Precision precision = Precision.labelled(arguments[2]);
    set_num_threads(threads);
    if (precision == Precision.BF16_PRODUCTS) {
      globalContext().setFloat32MatmulPrecision("medium");
    }
    boolean narrow = precision == Precision.BF16 && arguments[4].equals("weights");
    boolean autocast = precision == Precision.BF16 && !narrow;
    if (autocast) {
      set_autocast_dtype(DeviceType.CPU, ScalarType.BFloat16);
      set_autocast_cache_enabled(true);
    }
    JavaCppModel model =
        new JavaCppModel(
            BenchmarkModel.named(arguments[0]),
            arguments[3].equals("flash")
                ? JavaCppModel.AttentionForm.FLASH
                : JavaCppModel.AttentionForm.COMPOSED,
            narrow);
    JavaCppStepWorker worker = new JavaCppStepWorker(model, narrow, autocast, threads);
    StepProtocol.serve(
        "libtorch " + PeerVersions.of("javacpp.libtorch").orElse("?") + " through JavaCPP, " + String.join(" ", arguments),
        worker::step,
        () -> worker.optimizerNanos,
        () -> 0);
    System.out.flush();
    // libtorch's threads do not end by themselves.
    Runtime.getRuntime().halt(0);
  }
}
