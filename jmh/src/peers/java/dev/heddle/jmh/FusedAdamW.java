package dev.heddle.jmh;

import static org.bytedeco.pytorch.global.torch.zeros;
import static org.bytedeco.pytorch.global.torch.zeros_like;

import java.io.IOException;
import java.lang.foreign.AddressLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * libtorch's AdamW over all weights in one call, three times as fast as its {@code
 * torch::optim::AdamW}. JavaCPP does not bind it, so it is called through the Foreign Function
 * interface by its C++ name.
 */
final class FusedAdamW {
  private static final String SYMBOL =
      "_ZN2at4_ops13_fused_adamw_4callEN3c108ArrayRefINS_6TensorEEES5_S5_S5_S5_S5_dddddbb"
          + "RKSt8optionalIS4_ES9_";

  private static final Scalar ONE = new Scalar(1.0f);
  private static final Tensor UNDEFINED = new Tensor();

  private final List<Tensor> masters;
  private final List<Tensor> weights;
  private final boolean narrow;
  private final TensorVector trained;
  private final TensorVector gradients;
  private final TensorVector firstMoments;
  private final TensorVector secondMoments;
  private final TensorVector empty = new TensorVector();
  private final TensorVector steps;
  private final MemorySegment nothing;
  private final MethodHandle call;

  /**
   * An optimizer that has not stepped yet.
   *
   * @param masters F32, what is updated
   * @param weights what has the gradients: the masters themselves, or copies of them
   * @param narrow whether they are copies, in bf16
   */
  FusedAdamW(List<Tensor> masters, List<Tensor> weights, boolean narrow) throws IOException {
    this.masters = masters;
    this.weights = weights;
    this.narrow = narrow;
    int count = masters.size();
    trained = new TensorVector(masters.toArray(new Tensor[0]));
    gradients = new TensorVector(count);
    firstMoments = new TensorVector(count);
    secondMoments = new TensorVector(count);
    steps = new TensorVector(count);
    for (int i = 0; i < count; i++) {
      firstMoments.put(i, zeros_like(masters.get(i).detach()));
      secondMoments.put(i, zeros_like(masters.get(i).detach()));
      steps.put(i, zeros(new long[] {}));
    }
    nothing = MemorySegment.ofAddress(new TensorOptional().retainReference().address());
    call = bind();
  }

  private static MethodHandle bind() throws IOException {
    // JavaCPP has loaded the library by now; the kernel knows from where.
    Path library =
        Files.readAllLines(Path.of("/proc/self/maps")).stream()
            .filter(line -> line.contains("libtorch_cpu.so"))
            .map(line -> Path.of(line.substring(line.indexOf('/'))))
            .findFirst()
            .orElseThrow(() -> new IllegalStateException("libtorch_cpu.so is not loaded"));
    StructLayout array =
        MemoryLayout.structLayout(ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG);
    ValueLayout number = ValueLayout.JAVA_DOUBLE;
    ValueLayout flag = ValueLayout.JAVA_BOOLEAN;
    AddressLayout pointer = ValueLayout.ADDRESS;
    return Linker.nativeLinker()
        .downcallHandle(
            SymbolLookup.libraryLookup(library, Arena.global()).find(SYMBOL).orElseThrow(),
            FunctionDescriptor.ofVoid(
                array, array, array, array, array, array, number, number, number, number, number,
                flag, flag, pointer, pointer));
  }

  /** Updates all weights and forgets their gradients. */
  void step() {
    try (AutoGradMode off = new AutoGradMode(false);
        Arena arena = Arena.ofConfined()) {
      for (int i = 0; i < masters.size(); i++) {
        Tensor gradient = weights.get(i).grad();
        gradients.put(i, narrow ? gradient.to(ScalarType.Float) : gradient);
        steps.get(i).add_(ONE);
      }
      update(arena);
      for (int i = 0; i < masters.size(); i++) {
        if (narrow) {
          weights.get(i).copy_(masters.get(i));
        }
        weights.get(i).mutable_grad().put(UNDEFINED);
        gradients.put(i, UNDEFINED);
      }
    }
  }

  private void update(Arena arena) {
    try {
      call.invoke(
          reference(arena, trained),
          reference(arena, gradients),
          reference(arena, firstMoments),
          reference(arena, secondMoments),
          reference(arena, empty),
          reference(arena, steps),
          StepModel.LEARNING_RATE,
          0.9,
          0.999,
          StepModel.WEIGHT_DECAY,
          1e-8,
          false,
          false,
          nothing,
          nothing);
    } catch (Throwable e) {
      throw new IllegalStateException("libtorch's fused AdamW", e);
    }
  }

  /** The address and the length of a vector's tensors. */
  private static MemorySegment reference(Arena arena, TensorVector tensors) {
    long count = tensors.size();
    return arena.allocateFrom(
        ValueLayout.JAVA_LONG, count == 0 ? 0 : tensors.get(0).address(), count);
  }
}
