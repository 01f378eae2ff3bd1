package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.LENGTH;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;

import dev.heddle.runtime.NDArray;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;

/** Rotary position embedding, half-split form. */
final class VectorRotary {
  private final WorkerPool workers;

  VectorRotary(WorkerPool workers) {
    this.workers = workers;
  }

  void rotary(NDArray x, NDArray cos, NDArray sin, boolean inverse, NDArray y) {
    long sequence = x.dim(1);
    long heads = x.dim(2);
    int half = Math.toIntExact(x.dim(3) / 2);
    long from = x.address();
    long to = y.address();
    long cosines = cos.address();
    long sines = sin.address();
    float direction = inverse ? -1 : 1;
    workers.run(
        half == 0 || heads == 0 ? 0 : x.dim(0) * sequence,
        Math.max(1, VectorElementwise.GRAIN / (2L * half * Math.max(1, heads))),
        (start, end) -> {
          for (long i = start; i < end; i++) {
            long b = i / sequence;
            long s = i % sequence;
            long source = from + 4 * (b * x.stride(0) + s * x.stride(1));
            long target = to + 4 * (b * y.stride(0) + s * y.stride(1));
            long angles = 4 * s * half;
            for (long h = 0; h < heads; h++) {
              rotate(
                  source + 4 * h * x.stride(2),
                  cosines + angles,
                  sines + angles,
                  direction,
                  target + 4 * h * y.stride(2),
                  half);
            }
          }
        });
  }

  private static void rotate(
      long xStart, long cosStart, long sinStart, float direction, long yStart, int half) {
    long x = address(xStart);
    long y = address(yStart);
    long cosines = address(cosStart);
    long sines = address(sinStart);
    long step = 4L * half;
    FloatVector sign = Lanes.broadcast(direction);
    int bound = half & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      long at = 4L * i;
      FloatVector first = load(x + at);
      FloatVector second = load(x + step + at);
      FloatVector c = load(cosines + at);
      FloatVector s = load(sines + at).mul(sign);
      store(first.mul(c).sub(second.mul(s)), y + at);
      store(second.mul(c).add(first.mul(s)), y + step + at);
    }
    if (bound < half) {
      VectorMask<Float> rest = Lanes.first(half - bound);
      long at = 4L * bound;
      FloatVector first = load(x + at, rest);
      FloatVector second = load(x + step + at, rest);
      FloatVector c = load(cosines + at, rest);
      FloatVector s = load(sines + at, rest).mul(sign);
      store(first.mul(c).sub(second.mul(s)), y + at, rest);
      store(second.mul(c).add(first.mul(s)), y + step + at, rest);
    }
  }
}
