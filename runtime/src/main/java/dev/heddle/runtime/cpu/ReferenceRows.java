package dev.heddle.runtime.cpu;

import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.OutOfRange;
import org.jspecify.annotations.Nullable;

/** What is computed row by row: softmax, the norms, arg-max and the cross-entropy. */
final class ReferenceRows {
  private ReferenceRows() {}

  static void softmax(NDArray x, NDArray y) {
    double[] values = HostValues.read(x);
    int rows = Math.toIntExact(x.shape().rows());
    int columns = Math.toIntExact(x.dim(-1));
    for (int row = 0; row < rows; row++) {
      int start = row * columns;
      double maximum = maximum(values, start, columns);
      if (maximum == Double.NEGATIVE_INFINITY) {
        for (int j = 0; j < columns; j++) {
          values[start + j] = 0;
        }
        continue;
      }
      double sum = 0;
      for (int j = 0; j < columns; j++) {
        values[start + j] = Math.exp(values[start + j] - maximum);
        sum += values[start + j];
      }
      for (int j = 0; j < columns; j++) {
        values[start + j] /= sum;
      }
    }
    HostValues.write(values, y);
  }

  static void softmaxBackward(NDArray y, NDArray dy, NDArray dx) {
    double[] probabilities = HostValues.read(y);
    double[] gradient = HostValues.read(dy);
    int rows = Math.toIntExact(y.shape().rows());
    int columns = Math.toIntExact(y.dim(-1));
    for (int row = 0; row < rows; row++) {
      int start = row * columns;
      double dot = 0;
      for (int j = 0; j < columns; j++) {
        dot += probabilities[start + j] * gradient[start + j];
      }
      for (int j = 0; j < columns; j++) {
        gradient[start + j] = probabilities[start + j] * (gradient[start + j] - dot);
      }
    }
    HostValues.write(gradient, dx);
  }

  static void argmaxRows(NDArray x, NDArray y) {
    double[] values = HostValues.read(x);
    int rows = Math.toIntExact(x.dim(0));
    int columns = Math.toIntExact(x.dim(1));
    double[] indices = new double[rows];
    for (int row = 0; row < rows; row++) {
      int start = row * columns;
      int best = 0;
      for (int j = 1; j < columns; j++) {
        if (values[start + j] > values[start + best]) {
          best = j;
        }
      }
      indices[row] = best;
    }
    HostValues.write(indices, y);
  }

  static void layerNorm(
      NDArray x,
      NDArray weight,
      @Nullable NDArray bias,
      double epsilon,
      NDArray y,
      NDArray mean,
      NDArray rstd) {
    double[] values = HostValues.read(x);
    double[] scales = HostValues.read(weight);
    double[] shifts = bias == null ? new double[scales.length] : HostValues.read(bias);
    int columns = scales.length;
    int rows = Math.toIntExact(x.shape().rows());
    double[] means = new double[rows];
    double[] rstds = new double[rows];
    for (int row = 0; row < rows; row++) {
      int start = row * columns;
      double sum = 0;
      for (int j = 0; j < columns; j++) {
        sum += values[start + j];
      }
      double center = sum / columns;
      double squares = 0;
      for (int j = 0; j < columns; j++) {
        double difference = values[start + j] - center;
        squares += difference * difference;
      }
      double inverse = 1 / Math.sqrt(squares / columns + epsilon);
      for (int j = 0; j < columns; j++) {
        values[start + j] = (values[start + j] - center) * inverse * scales[j] + shifts[j];
      }
      means[row] = center;
      rstds[row] = inverse;
    }
    HostValues.write(values, y);
    HostValues.write(means, mean);
    HostValues.write(rstds, rstd);
  }

  /** With n = (x - mean) rstd and g = dy weight: dx = rstd (g - mean(g) - n mean(g n)). */
  static void layerNormBackward(
      NDArray x,
      NDArray weight,
      NDArray mean,
      NDArray rstd,
      NDArray dy,
      @Nullable NDArray dx,
      @Nullable NDArray dweight,
      @Nullable NDArray dbias) {
    double[] normalized = HostValues.read(x);
    double[] scales = HostValues.read(weight);
    double[] means = HostValues.read(mean);
    double[] rstds = HostValues.read(rstd);
    double[] gradient = HostValues.read(dy);
    int columns = scales.length;
    int rows = means.length;
    double[] weightGradient = new double[columns];
    double[] biasGradient = new double[columns];
    for (int row = 0; row < rows; row++) {
      int start = row * columns;
      double sum = 0;
      double dot = 0;
      for (int j = 0; j < columns; j++) {
        double n = (normalized[start + j] - means[row]) * rstds[row];
        double g = gradient[start + j];
        weightGradient[j] += g * n;
        biasGradient[j] += g;
        sum += g * scales[j];
        dot += g * scales[j] * n;
        normalized[start + j] = n;
      }
      for (int j = 0; j < columns; j++) {
        double centered = gradient[start + j] * scales[j] - sum / columns;
        gradient[start + j] = rstds[row] * (centered - normalized[start + j] * dot / columns);
      }
    }
    writeIfWanted(gradient, dx);
    writeIfWanted(weightGradient, dweight);
    writeIfWanted(biasGradient, dbias);
  }

  static void rmsNorm(NDArray x, NDArray weight, double epsilon, NDArray y, NDArray rstd) {
    double[] values = HostValues.read(x);
    double[] scales = HostValues.read(weight);
    int columns = scales.length;
    int rows = Math.toIntExact(x.shape().rows());
    double[] rstds = new double[rows];
    for (int row = 0; row < rows; row++) {
      int start = row * columns;
      double squares = 0;
      for (int j = 0; j < columns; j++) {
        squares += values[start + j] * values[start + j];
      }
      double inverse = 1 / Math.sqrt(squares / columns + epsilon);
      for (int j = 0; j < columns; j++) {
        values[start + j] *= inverse * scales[j];
      }
      rstds[row] = inverse;
    }
    HostValues.write(values, y);
    HostValues.write(rstds, rstd);
  }

  /** With n = x rstd and g = dy weight: dx = rstd (g - n mean(g n)). */
  static void rmsNormBackward(
      NDArray x,
      NDArray weight,
      NDArray rstd,
      NDArray dy,
      @Nullable NDArray dx,
      @Nullable NDArray dweight) {
    double[] normalized = HostValues.read(x);
    double[] scales = HostValues.read(weight);
    double[] rstds = HostValues.read(rstd);
    double[] gradient = HostValues.read(dy);
    int columns = scales.length;
    double[] weightGradient = new double[columns];
    for (int row = 0; row < rstds.length; row++) {
      int start = row * columns;
      double dot = 0;
      for (int j = 0; j < columns; j++) {
        double n = normalized[start + j] * rstds[row];
        weightGradient[j] += gradient[start + j] * n;
        dot += gradient[start + j] * scales[j] * n;
        normalized[start + j] = n;
      }
      for (int j = 0; j < columns; j++) {
        double g = gradient[start + j] * scales[j];
        gradient[start + j] = rstds[row] * (g - normalized[start + j] * dot / columns);
      }
    }
    writeIfWanted(gradient, dx);
    writeIfWanted(weightGradient, dweight);
  }

  static void crossEntropy(
      NDArray logits,
      NDArray targets,
      long firstColumn,
      long classes,
      NDArray logSumExp,
      NDArray targetLogit) {
    double[] values = HostValues.read(logits);
    long[] wanted = HostValues.readLongs(targets);
    int columns = Math.toIntExact(logits.dim(1));
    double[] logSums = new double[wanted.length];
    double[] picked = new double[wanted.length];
    for (int row = 0; row < wanted.length; row++) {
      if (wanted[row] >= classes) {
        throw OutOfRange.target(row, wanted[row], classes);
      }
      int start = row * columns;
      logSums[row] = logSumExp(values, start, columns);
      long column = wanted[row] - firstColumn;
      if (wanted[row] >= 0 && column >= 0 && column < columns) {
        picked[row] = values[start + (int) column];
      }
    }
    HostValues.write(logSums, logSumExp);
    HostValues.write(picked, targetLogit);
  }

  static void crossEntropyBackward(
      NDArray logits,
      NDArray targets,
      long firstColumn,
      NDArray logSumExp,
      NDArray dloss,
      NDArray dlogits) {
    double scale = HostValues.read(dloss)[0];
    double[] values = HostValues.read(logits);
    long[] wanted = HostValues.readLongs(targets);
    double[] logSums = HostValues.read(logSumExp);
    int columns = Math.toIntExact(logits.dim(1));
    for (int row = 0; row < wanted.length; row++) {
      int start = row * columns;
      if (wanted[row] < 0) {
        for (int j = 0; j < columns; j++) {
          values[start + j] = 0;
        }
        continue;
      }
      long column = wanted[row] - firstColumn;
      for (int j = 0; j < columns; j++) {
        double probability = Math.exp(values[start + j] - logSums[row]);
        values[start + j] = scale * (probability - (j == column ? 1 : 0));
      }
    }
    HostValues.write(values, dlogits);
  }

  /** log of the sum of exp over a run; -inf if all are -inf. */
  private static double logSumExp(double[] values, int start, int count) {
    double maximum = maximum(values, start, count);
    if (maximum == Double.NEGATIVE_INFINITY) {
      return maximum;
    }
    double sum = 0;
    for (int j = 0; j < count; j++) {
      sum += Math.exp(values[start + j] - maximum);
    }
    return maximum + Math.log(sum);
  }

  private static double maximum(double[] values, int start, int count) {
    double maximum = Double.NEGATIVE_INFINITY;
    for (int j = 0; j < count; j++) {
      maximum = Math.max(maximum, values[start + j]);
    }
    return maximum;
  }

  private static void writeIfWanted(double[] values, @Nullable NDArray target) {
    if (target != null) {
      HostValues.write(values, target);
    }
  }
}
