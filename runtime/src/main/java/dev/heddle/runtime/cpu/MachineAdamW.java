package dev.heddle.runtime.cpu;

import dev.heddle.runtime.AdamWTensor;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.machine.VectorLoop;
import dev.heddle.runtime.machine.VectorProgram.Type;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The optimizer's sweep by machine code, with the bits of {@link VectorUpdates} and {@link
 * Bf16AdamW}. The numbers of the running step are where the code reads them, so one step runs at a
 * time, on any threads.
 */
final class MachineAdamW {
  private static final int KINDS = 3;

  /** What weights, gradients and moments a loop is for, and its numbers: with decay, without. */
  private record Kind(VectorLoop loop, MemorySegment decaying, MemorySegment plain) {
    static Kind of(VectorLoop loop) {
      return new Kind(loop, loop.table(Arena.ofAuto()), loop.table(Arena.ofAuto()));
    }
  }

  private final MachineLoops loops;
  private final @Nullable Kind[] kinds = new Kind[KINDS];

  MachineAdamW(MachineLoops loops) {
    this.loops = loops;
  }

  /** Sets the numbers of a step on some tensors. */
  void prepare(AdamWNumbers decaying, AdamWNumbers plain, List<AdamWTensor> tensors) {
    boolean[] seen = new boolean[KINDS];
    for (int i = 0; i < tensors.size(); i++) {
      AdamWTensor tensor = tensors.get(i);
      int number = number(tensor);
      if (!seen[number]) {
        seen[number] = true;
        Kind kind = kind(number);
        write(decaying, kind.decaying);
        write(plain, kind.plain);
      }
    }
  }

  /** The step on {@code size} elements of a tensor from {@code from} on. */
  void update(AdamWTensor tensor, long from, int size) {
    Kind kind = kind(number(tensor));
    NDArray gradient = tensor.gradient();
    @Nullable NDArray copy = tensor.copy();
    long offset = Float.BYTES * from;
    kind.loop.run(
        tensor.weight().address() + offset,
        gradient.address() + gradient.dtype().byteSize() * from,
        tensor.firstMoment().address() + offset,
        tensor.secondMoment().address() + offset,
        copy == null ? 0 : copy.address() + Short.BYTES * from,
        size,
        (tensor.decays() ? kind.decaying : kind.plain).address());
  }

  private static int number(AdamWTensor tensor) {
    if (tensor.gradient().dtype() != DType.BF16) {
      return 0;
    }
    return tensor.copy() == null ? 1 : 2;
  }

  private Kind kind(int number) {
    @Nullable Kind kind = kinds[number];
    if (kind == null) {
      kind = Kind.of(loops.adamW(number == 0 ? Type.F32 : Type.BF16, number == 2));
      kinds[number] = kind;
    }
    return kind;
  }

  /** In the order of the scalars of {@link MachineLoops#adamW}. */
  private static void write(AdamWNumbers numbers, MemorySegment table) {
    float[] scalars = {
      numbers.scale(),
      numbers.beta1(),
      numbers.beta2(),
      numbers.rest1(),
      numbers.rest2(),
      numbers.root(),
      -numbers.rate(),
      numbers.epsilon(),
      numbers.keep()
    };
    MemorySegment.copy(scalars, 0, table, ValueLayout.JAVA_FLOAT, 0, scalars.length);
  }
}
