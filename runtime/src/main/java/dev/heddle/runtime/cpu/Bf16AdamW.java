package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.LENGTH;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;

import dev.heddle.runtime.AdamWTensor;
import dev.heddle.runtime.NDArray;
import jdk.incubator.vector.FloatVector;

/**
 * The optimizer's sweep over an F32 weight with a bf16 gradient, which writes the weight's bf16
 * copy as it goes: 28 bytes an element, each read or written once. Arithmetic is that of {@link
 * VectorUpdates}.
 */
final class Bf16AdamW {
  private Bf16AdamW() {}

  /** One step on {@code size} elements of a tensor from {@code from} on. */
  static void update(AdamWNumbers numbers, AdamWTensor tensor, long from, int size) {
    NDArray copy = tensor.copy();
    long offset = 4 * from;
    update(
        numbers,
        tensor.weight().address() + offset,
        tensor.gradient().address() + 2 * from,
        tensor.firstMoment().address() + offset,
        tensor.secondMoment().address() + offset,
        copy == null ? 0 : copy.address() + 2 * from,
        size);
  }

  private static void update(
      AdamWNumbers numbers, long w0, long g0, long m0, long v0, long c0, int n) {
    long w = address(w0);
    long g = address(g0);
    long m = address(m0);
    long v = address(v0);
    long c = address(c0);
    boolean copies = c0 != 0;
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
      FloatVector gradient = Bf16Conversion.load(g + 2L * i).mul(scales);
      FloatVector first = load(m + at).mul(betas1).add(gradient.mul(rests1));
      FloatVector second = load(v + at).mul(betas2).add(gradient.mul(gradient).mul(rests2));
      store(first, m + at);
      store(second, v + at);
      FloatVector size = second.sqrt().fma(roots, epsilons);
      FloatVector weight = load(w + at).mul(keeps);
      FloatVector updated = first.mul(rates).div(size).add(weight);
      store(updated, w + at);
      if (copies) {
        Bf16Conversion.store(updated, c + 2L * i);
      }
    }
    for (int i = bound; i < n; i++) {
      long at = 4L * i;
      float gradient = Bf16Conversion.get(g + 2L * i) * scale;
      float first = Lanes.get(m + at) * beta1 + gradient * rest1;
      float second = Lanes.get(v + at) * beta2 + gradient * gradient * rest2;
      Lanes.set(m + at, first);
      Lanes.set(v + at, second);
      float size = Math.fma((float) Math.sqrt(second), root, epsilon);
      float updated = first * -rate / size + Lanes.get(w + at) * keep;
      Lanes.set(w + at, updated);
      if (copies) {
        Bf16Conversion.set(c + 2L * i, updated);
      }
    }
  }
}
