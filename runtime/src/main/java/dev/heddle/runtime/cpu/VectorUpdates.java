package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.LENGTH;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;

import dev.heddle.runtime.AdamWStep;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Random;
import dev.heddle.runtime.RandomKey;
import jdk.incubator.vector.FloatVector;

/** The optimizer step in one sweep, and what is drawn at random. */
final class VectorUpdates {
  private final WorkerPool workers;

  VectorUpdates(WorkerPool workers) {
    this.workers = workers;
  }

  void adamW(
      AdamWStep step,
      NDArray weight,
      NDArray gradient,
      NDArray firstMoment,
      NDArray secondMoment) {
    long w = weight.address();
    long g = gradient.address();
    long m = firstMoment.address();
    long v = secondMoment.address();
    Factors factors = Factors.of(step);
    workers.run(
        weight.size(),
        VectorElementwise.GRAIN,
        (start, end) ->
            adamW(
                factors,
                w + 4 * start,
                g + 4 * start,
                m + 4 * start,
                v + 4 * start,
                (int) (end - start)));
  }

  /** The step's numbers as the loop uses them: divisions by the corrections are folded in. */
  private record Factors(
      float gradientScale,
      float beta1,
      float oneMinusBeta1,
      float beta2,
      float oneMinusBeta2,
      float stepSize,
      float inverseCorrection2,
      float epsilon,
      float keep) {
    static Factors of(AdamWStep step) {
      return new Factors(
          (float) step.gradientScale(),
          (float) step.beta1(),
          (float) (1 - step.beta1()),
          (float) step.beta2(),
          (float) (1 - step.beta2()),
          (float) (-step.learningRate() / step.correction1()),
          (float) (1 / step.correction2()),
          (float) step.epsilon(),
          (float) (1 - step.learningRate() * step.weightDecay()));
    }
  }

  private static void adamW(Factors f, long w, long g, long m, long v, int n) {
    int whole = n & -LENGTH;
    adamWOfVectors(f, w, g, m, v, whole);
    if (whole < n) {
      long at = 4L * whole;
      int rest = n - whole;
      long padW = Pad.address();
      long padG = padW + Lanes.BYTES;
      long padM = padG + Lanes.BYTES;
      long padV = padM + Lanes.BYTES;
      Tiles.fill(padW, 4L * LENGTH, 0);
      Tiles.copy(w + at, padW, rest);
      Tiles.copy(g + at, padG, rest);
      Tiles.copy(m + at, padM, rest);
      Tiles.copy(v + at, padV, rest);
      adamWOfVectors(f, padW, padG, padM, padV, LENGTH);
      Tiles.copy(padW, w + at, rest);
      Tiles.copy(padM, m + at, rest);
      Tiles.copy(padV, v + at, rest);
    }
  }

  private static void adamWOfVectors(
      Factors f, long wStart, long gStart, long mStart, long vStart, int n) {
    long w = address(wStart);
    long g = address(gStart);
    long m = address(mStart);
    long v = address(vStart);
    FloatVector scale = Lanes.broadcast(f.gradientScale());
    FloatVector b1 = Lanes.broadcast(f.beta1());
    FloatVector c1 = Lanes.broadcast(f.oneMinusBeta1());
    FloatVector b2 = Lanes.broadcast(f.beta2());
    FloatVector c2 = Lanes.broadcast(f.oneMinusBeta2());
    FloatVector size = Lanes.broadcast(f.stepSize());
    FloatVector correction = Lanes.broadcast(f.inverseCorrection2());
    FloatVector epsilon = Lanes.broadcast(f.epsilon());
    FloatVector keep = Lanes.broadcast(f.keep());
    for (int i = 0; i < n; i += LENGTH) {
      long at = 4L * i;
      FloatVector slope = load(g + at).mul(scale);
      FloatVector first = slope.fma(c1, load(m + at).mul(b1));
      FloatVector second = slope.mul(slope).fma(c2, load(v + at).mul(b2));
      FloatVector denominator = second.mul(correction).sqrt().add(epsilon);
      store(first, m + at);
      store(second, v + at);
      store(load(w + at).fma(keep, first.mul(size).div(denominator)), w + at);
    }
  }

  // ---- random

  /** low + (high - low) u in double precision, as the contract has it. */
  void randomUniform(RandomKey key, GlobalIndex index, double low, double high, NDArray y) {
    long to = y.address();
    forRows(
        y,
        index,
        (element, step, offset, stride, count) -> {
          int[] words = new int[4];
          long block = -1;
          for (long i = 0; i < count; i++) {
            long at = element + i * step;
            if (at >>> 2 != block) {
              block = at >>> 2;
              Random.block(key, block, words);
            }
            double u = Random.uniform(words[(int) (at & 3)]);
            Lanes.set(to + 4 * (offset + i * stride), (float) (low + (high - low) * u));
          }
        });
  }

  void randomNormal(RandomKey key, GlobalIndex index, double mean, double deviation, NDArray y) {
    long to = y.address();
    forRows(
        y,
        index,
        (element, step, offset, stride, count) -> {
          int[] words = new int[4];
          long block = -1;
          for (long i = 0; i < count; i++) {
            long at = element + i * step;
            if (at >>> 2 != block) {
              block = at >>> 2;
              Random.block(key, block, words);
            }
            int pair = (int) (at & 2);
            double n = Random.normal(words[pair], words[pair + 1], (at & 1) == 0);
            Lanes.set(to + 4 * (offset + i * stride), (float) (mean + deviation * n));
          }
        });
  }

  void dropout(RandomKey key, GlobalIndex index, double probability, NDArray x, NDArray y) {
    long from = x.address();
    long to = y.address();
    float scale = (float) (1 / (1 - probability));
    forRows(
        y,
        index,
        (element, step, offset, stride, count) -> {
          int[] words = new int[4];
          long block = -1;
          for (long i = 0; i < count; i++) {
            long at = element + i * step;
            if (at >>> 2 != block) {
              block = at >>> 2;
              Random.block(key, block, words);
            }
            boolean kept = Random.uniform(words[(int) (at & 3)]) >= probability;
            long position = 4 * (offset + i * stride);
            Lanes.set(to + position, kept ? Lanes.get(from + position) * scale : 0);
          }
        });
  }

  /** What is done with a run along the innermost dim. */
  private interface Row {
    /**
     * @param element global index of the first element
     * @param step global index step between elements
     * @param offset elements from the array's start to the first one
     * @param stride elements between neighbours in memory
     */
    void run(long element, long step, long offset, long stride, long count);
  }

  private void forRows(NDArray y, GlobalIndex index, Row row) {
    if (y.size() == 0) {
      return;
    }
    int rank = y.rank();
    long count = rank == 0 ? 1 : y.dim(-1);
    long step = rank == 0 ? 0 : index.strides()[rank - 1];
    long stride = rank == 0 ? 0 : y.stride(-1);
    // Long rows are cut, short ones grouped, as everywhere.
    long pieces = (count + VectorElementwise.GRAIN - 1) / VectorElementwise.GRAIN;
    long piece = (count + pieces - 1) / pieces;
    workers.run(
        y.size() / count * pieces,
        Math.max(1, VectorElementwise.GRAIN / piece),
        (start, end) -> {
          for (long i = start; i < end; i++) {
            long first = i % pieces * piece;
            long element = index.base() + first * step;
            long offset = first * stride;
            long rest = i / pieces;
            for (int dim = rank - 2; dim >= 0; dim--) {
              long at = rest % y.dim(dim);
              rest /= y.dim(dim);
              element += at * index.strides()[dim];
              offset += at * y.stride(dim);
            }
            row.run(element, step, offset, stride, Math.min(piece, count - first));
          }
        });
  }
}
