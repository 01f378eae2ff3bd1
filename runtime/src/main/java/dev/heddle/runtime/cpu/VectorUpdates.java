package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.LENGTH;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;

import dev.heddle.runtime.AdamWStep;
import dev.heddle.runtime.AdamWTensor;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Random;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.Shape;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import org.jspecify.annotations.Nullable;

/** The optimizer's sweep over a parameter, and random values by global index. */
final class VectorUpdates {
  private final WorkerPool workers;
  private final @Nullable MachineAdamW machine;
  private final WorkerPool.RangeTask weightTask = this::updateWeights;

  // The running call, so that the many of a step make no garbage.
  private AdamWNumbers numbers = AdamWNumbers.of(new AdamWStep(0, 0, 0, 1, 0, 1, 1));
  private long weights;
  private long gradients;
  private long firsts;
  private long seconds;

  /**
   * For a rank's threads.
   *
   * @param machine the optimizer's sweep by machine code, null for Java
   */
  VectorUpdates(WorkerPool workers, @Nullable MachineLoops machine) {
    this.workers = workers;
    this.machine = machine == null ? null : new MachineAdamW(machine);
  }

  // ---- AdamW

  void adamW(AdamWStep step, NDArray weight, NDArray gradient, NDArray first, NDArray second) {
    numbers = AdamWNumbers.of(step);
    weights = weight.address();
    gradients = gradient.address();
    firsts = first.address();
    seconds = second.address();
    workers.run(weight.size(), VectorElementwise.GRAIN, weightTask);
  }

  /**
   * One step on all tensors in one run of the workers, which then wait for each other once. How a
   * tensor is cut depends on its size alone. Gradients are F32 or bf16.
   */
  void adamW(AdamWStep decaying, AdamWStep plain, List<AdamWTensor> tensors) {
    AdamWNumbers withDecay = AdamWNumbers.of(decaying);
    AdamWNumbers withoutDecay = AdamWNumbers.of(plain);
    if (machine != null) {
      machine.prepare(withDecay, withoutDecay, tensors);
    }
    int count = tensors.size();
    long[] ends = new long[count];
    long chunks = 0;
    for (int i = 0; i < count; i++) {
      long size = tensors.get(i).weight().size();
      chunks += (size + VectorElementwise.GRAIN - 1) / VectorElementwise.GRAIN;
      ends[i] = chunks;
    }
    workers.run(
        chunks,
        1,
        (start, end) -> {
          int i = 0;
          for (long chunk = start; chunk < end; chunk++) {
            while (chunk >= ends[i]) {
              i++;
            }
            AdamWTensor tensor = tensors.get(i);
            long from = (chunk - (i == 0 ? 0 : ends[i - 1])) * VectorElementwise.GRAIN;
            int size = (int) Math.min(VectorElementwise.GRAIN, tensor.weight().size() - from);
            if (machine != null) {
              machine.update(tensor, from, size);
              continue;
            }
            AdamWNumbers step = tensor.decays() ? withDecay : withoutDecay;
            if (tensor.gradient().dtype() == DType.BF16) {
              Bf16AdamW.update(step, tensor, from, size);
            } else {
              update(step, tensor, from, size);
            }
          }
        });
  }

  /** One step on the elements of a tensor from {@code from} on. */
  private static void update(AdamWNumbers numbers, AdamWTensor tensor, long from, int size) {
    long offset = 4 * from;
    adamW(
        numbers,
        tensor.weight().address() + offset,
        tensor.gradient().address() + offset,
        tensor.firstMoment().address() + offset,
        tensor.secondMoment().address() + offset,
        size);
  }

  private void updateWeights(long start, long end) {
    long offset = 4 * start;
    adamW(
        numbers,
        weights + offset,
        gradients + offset,
        firsts + offset,
        seconds + offset,
        (int) (end - start));
  }

  private static void adamW(AdamWNumbers numbers, long w0, long g0, long m0, long v0, int n) {
    long w = address(w0);
    long g = address(g0);
    long m = address(m0);
    long v = address(v0);
    float scale = numbers.scale();
    float beta1 = numbers.beta1();
    float beta2 = numbers.beta2();
    float rest1 = numbers.rest1();
    float rest2 = numbers.rest2();
    float root = numbers.root();
    float rate = numbers.rate();
    float epsilon = numbers.epsilon();
    float keep = numbers.keep();
    int bound = n & -LENGTH;
    FloatVector scales = Lanes.broadcast(scale);
    FloatVector betas1 = Lanes.broadcast(beta1);
    FloatVector betas2 = Lanes.broadcast(beta2);
    FloatVector rests1 = Lanes.broadcast(rest1);
    FloatVector rests2 = Lanes.broadcast(rest2);
    FloatVector roots = Lanes.broadcast(root);
    FloatVector rates = Lanes.broadcast(-rate);
    FloatVector epsilons = Lanes.broadcast(epsilon);
    FloatVector keeps = Lanes.broadcast(keep);
    for (int i = 0; i < bound; i += LENGTH) {
      long at = 4L * i;
      FloatVector gradient = load(g + at).mul(scales);
      FloatVector first = load(m + at).mul(betas1).add(gradient.mul(rests1));
      FloatVector second = load(v + at).mul(betas2).add(gradient.mul(gradient).mul(rests2));
      store(first, m + at);
      store(second, v + at);
      FloatVector size = second.sqrt().fma(roots, epsilons);
      FloatVector weight = load(w + at).mul(keeps);
      store(first.mul(rates).div(size).add(weight), w + at);
    }
    for (int i = bound; i < n; i++) {
      long at = 4L * i;
      float gradient = Lanes.get(g + at) * scale;
      float first = Lanes.get(m + at) * beta1 + gradient * rest1;
      float second = Lanes.get(v + at) * beta2 + gradient * gradient * rest2;
      Lanes.set(m + at, first);
      Lanes.set(v + at, second);
      float size = Math.fma((float) Math.sqrt(second), root, epsilon);
      Lanes.set(w + at, first * -rate / size + Lanes.get(w + at) * keep);
    }
  }

  // ---- random

  /** Takes the random words of consecutive elements. */
  private interface Words {
    /** The word of element {@code column} of a row that begins at element {@code offset}. */
    void take(long offset, int column, int[] words, int word);
  }

  void uniform(RandomKey key, GlobalIndex index, double low, double high, NDArray y) {
    long to = y.address();
    walk(
        key,
        index,
        y,
        (offset, column, words, word) -> {
          double value = low + (high - low) * Random.uniform(words[word]);
          Lanes.set(to + 4 * (offset + column), (float) value);
        });
  }

  void normal(RandomKey key, GlobalIndex index, double mean, double deviation, NDArray y) {
    long to = y.address();
    walk(
        key,
        index,
        y,
        (offset, column, words, word) -> {
          int pair = word & 2;
          double normal = Random.normal(words[pair], words[pair + 1], (word & 1) == 0);
          Lanes.set(to + 4 * (offset + column), (float) (mean + deviation * normal));
        });
  }

  void dropout(RandomKey key, GlobalIndex index, double probability, NDArray x, NDArray y) {
    long from = x.address();
    long to = y.address();
    float keep = (float) (1 / (1 - probability));
    walk(
        key,
        index,
        y,
        (offset, column, words, word) -> {
          long at = 4 * (offset + column);
          boolean kept = Random.uniform(words[word]) >= probability;
          Lanes.set(to + at, kept ? Lanes.get(from + at) * keep : 0);
        });
  }

  /** Draws for every element of a contiguous array; a block of four words serves its neighbours. */
  private void walk(RandomKey key, GlobalIndex index, NDArray y, Words taker) {
    if (y.size() == 0) {
      return;
    }
    Shape shape = y.rank() == 0 ? Shape.of(1) : y.shape();
    long[] strides = y.rank() == 0 ? new long[] {0} : index.strides();
    RowOffsets globals = RowOffsets.of(shape, strides);
    int columns = Math.toIntExact(shape.dim(-1));
    long inner = globals.innerStride();
    workers.run(
        shape.size() / columns,
        VectorMovement.rowGrain(columns),
        (start, end) -> {
          int[] words = new int[4];
          long block = -1;
          for (long row = start; row < end; row++) {
            long global = index.base() + globals.of(row);
            for (int column = 0; column < columns; column++) {
              long element = global + column * inner;
              if (element >>> 2 != block) {
                block = element >>> 2;
                Random.block(key, block, words);
              }
              taker.take(row * columns, column, words, (int) (element & 3));
            }
          }
        });
  }
}
