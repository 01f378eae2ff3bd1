package dev.heddle.runtime.cpu;

import dev.heddle.runtime.AdamWStep;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Random;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.Shape;
import org.jspecify.annotations.Nullable;

/** The optimizer step and what is drawn at random. */
final class ReferenceUpdates {
  private ReferenceUpdates() {}

  static void adamW(
      AdamWStep step,
      NDArray weight,
      NDArray gradient,
      NDArray firstMoment,
      NDArray secondMoment,
      @Nullable NDArray copy) {
    double[] w = HostValues.read(weight);
    double[] g = HostValues.read(gradient);
    double[] m = HostValues.read(firstMoment);
    double[] v = HostValues.read(secondMoment);
    double correction1 = step.correction1();
    double correction2 = step.correction2();
    for (int i = 0; i < w.length; i++) {
      double slope = g[i] * step.gradientScale();
      m[i] = step.beta1() * m[i] + (1 - step.beta1()) * slope;
      v[i] = step.beta2() * v[i] + (1 - step.beta2()) * slope * slope;
      double denominator = Math.sqrt(v[i] / correction2) + step.epsilon();
      double update = step.weightDecay() * w[i] + m[i] / correction1 / denominator;
      w[i] -= step.learningRate() * update;
    }
    HostValues.write(w, weight);
    HostValues.write(m, firstMoment);
    HostValues.write(v, secondMoment);
    if (copy != null) {
      HostValues.write(w, copy);
    }
  }

  static void randomUniform(RandomKey key, GlobalIndex index, double low, double high, NDArray y) {
    double[] values = new double[Math.toIntExact(y.size())];
    uniformDim(key, index, y.shape(), 0, index.base(), new int[4], values, 0);
    for (int i = 0; i < values.length; i++) {
      values[i] = low + (high - low) * values[i];
    }
    HostValues.write(values, y);
  }

  static void randomNormal(
      RandomKey key, GlobalIndex index, double mean, double deviation, NDArray y) {
    double[] values = new double[Math.toIntExact(y.size())];
    normalDim(key, index, y.shape(), 0, index.base(), new int[4], values, 0);
    for (int i = 0; i < values.length; i++) {
      values[i] = mean + deviation * values[i];
    }
    HostValues.write(values, y);
  }

  static void dropout(RandomKey key, GlobalIndex index, double probability, NDArray x, NDArray y) {
    double[] values = HostValues.read(x);
    double[] uniform = new double[values.length];
    uniformDim(key, index, x.shape(), 0, index.base(), new int[4], uniform, 0);
    for (int i = 0; i < values.length; i++) {
      values[i] = uniform[i] >= probability ? values[i] / (1 - probability) : 0;
    }
    HostValues.write(values, y);
  }

  private static int uniformDim(
      RandomKey key,
      GlobalIndex index,
      Shape shape,
      int dim,
      long element,
      int[] words,
      double[] values,
      int position) {
    if (dim == shape.rank()) {
      Random.block(key, element >>> 2, words);
      values[position] = Random.uniform(words[(int) (element & 3)]);
      return position + 1;
    }
    int next = position;
    for (long i = 0; i < shape.dim(dim); i++) {
      long at = element + i * index.strides()[dim];
      next = uniformDim(key, index, shape, dim + 1, at, words, values, next);
    }
    return next;
  }

  private static int normalDim(
      RandomKey key,
      GlobalIndex index,
      Shape shape,
      int dim,
      long element,
      int[] words,
      double[] values,
      int position) {
    if (dim == shape.rank()) {
      Random.block(key, element >>> 2, words);
      int pair = (int) (element & 2);
      values[position] = Random.normal(words[pair], words[pair + 1], (element & 1) == 0);
      return position + 1;
    }
    int next = position;
    for (long i = 0; i < shape.dim(dim); i++) {
      long at = element + i * index.strides()[dim];
      next = normalDim(key, index, shape, dim + 1, at, words, values, next);
    }
    return next;
  }
}
