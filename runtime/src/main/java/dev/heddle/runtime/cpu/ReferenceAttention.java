package dev.heddle.runtime.cpu;

import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.NDArray;

/**
 * Rotary embedding and attention. Everything is read to row-major [B,S,H,D] first, so a head's
 * vector at (b, s, h) starts at ((b S + s) H + h) D.
 */
final class ReferenceAttention {
  private ReferenceAttention() {}

  static void rotary(NDArray x, NDArray cos, NDArray sin, boolean inverse, NDArray y) {
    double[] values = HostValues.read(x);
    double[] cosines = HostValues.read(cos);
    double[] sines = HostValues.read(sin);
    int batch = Math.toIntExact(x.dim(0));
    int sequence = Math.toIntExact(x.dim(1));
    int heads = Math.toIntExact(x.dim(2));
    int headSize = Math.toIntExact(x.dim(3));
    int half = headSize / 2;
    double direction = inverse ? -1 : 1;
    int start = 0;
    for (int b = 0; b < batch; b++) {
      for (int s = 0; s < sequence; s++) {
        for (int h = 0; h < heads; h++) {
          for (int d = 0; d < half; d++) {
            double c = cosines[s * half + d];
            double sn = direction * sines[s * half + d];
            double first = values[start + d];
            double second = values[start + half + d];
            values[start + d] = first * c - second * sn;
            values[start + half + d] = second * c + first * sn;
          }
          start += headSize;
        }
      }
    }
    HostValues.write(values, y);
  }

  static void attention(
      NDArray q,
      NDArray k,
      NDArray v,
      AttentionMask mask,
      double scale,
      NDArray out,
      NDArray logSumExp) {
    double[] queries = HostValues.read(q);
    double[] keys = HostValues.read(k);
    double[] values = HostValues.read(v);
    int batch = Math.toIntExact(q.dim(0));
    int queryCount = Math.toIntExact(q.dim(1));
    int heads = Math.toIntExact(q.dim(2));
    int headSize = Math.toIntExact(q.dim(3));
    int keyCount = Math.toIntExact(k.dim(1));
    int keyHeads = Math.toIntExact(k.dim(2));
    int group = keyHeads == 0 ? 1 : heads / keyHeads;
    double[] result = new double[queries.length];
    double[] logSums = new double[batch * heads * queryCount];
    double[] weights = new double[keyCount];
    for (int b = 0; b < batch; b++) {
      for (int h = 0; h < heads; h++) {
        for (int i = 0; i < queryCount; i++) {
          int query = ((b * queryCount + i) * heads + h) * headSize;
          int visible = (int) mask.visibleKeys(i, keyCount);
          double maximum = Double.NEGATIVE_INFINITY;
          for (int j = 0; j < visible; j++) {
            int key = ((b * keyCount + j) * keyHeads + h / group) * headSize;
            weights[j] = scale * dot(queries, query, keys, key, headSize);
            maximum = Math.max(maximum, weights[j]);
          }
          int statistic = (b * heads + h) * queryCount + i;
          if (maximum == Double.NEGATIVE_INFINITY) {
            logSums[statistic] = maximum;
            continue;
          }
          double sum = 0;
          for (int j = 0; j < visible; j++) {
            weights[j] = Math.exp(weights[j] - maximum);
            sum += weights[j];
          }
          for (int j = 0; j < visible; j++) {
            int value = ((b * keyCount + j) * keyHeads + h / group) * headSize;
            addScaled(values, value, weights[j] / sum, result, query, headSize);
          }
          logSums[statistic] = maximum + Math.log(sum);
        }
      }
    }
    HostValues.write(result, out);
    HostValues.write(logSums, logSumExp);
  }

  /**
   * With p the probabilities, exp(scale q k - logSumExp): dv = pᵀ dout; ds = p (dout vᵀ - Σ dout
   * out); dq = scale ds k; dk = scale dsᵀ q. (Dao et al., "FlashAttention", 2022, algorithm 4.)
   */
  static void attentionBackward(
      NDArray q,
      NDArray k,
      NDArray v,
      NDArray out,
      NDArray logSumExp,
      NDArray dout,
      AttentionMask mask,
      double scale,
      NDArray dq,
      NDArray dk,
      NDArray dv) {
    double[] queries = HostValues.read(q);
    double[] keys = HostValues.read(k);
    double[] values = HostValues.read(v);
    double[] results = HostValues.read(out);
    double[] logSums = HostValues.read(logSumExp);
    double[] gradient = HostValues.read(dout);
    int batch = Math.toIntExact(q.dim(0));
    int queryCount = Math.toIntExact(q.dim(1));
    int heads = Math.toIntExact(q.dim(2));
    int headSize = Math.toIntExact(q.dim(3));
    int keyCount = Math.toIntExact(k.dim(1));
    int keyHeads = Math.toIntExact(k.dim(2));
    int group = keyHeads == 0 ? 1 : heads / keyHeads;
    double[] queryGradient = new double[queries.length];
    double[] keyGradient = new double[keys.length];
    double[] valueGradient = new double[values.length];
    for (int b = 0; b < batch; b++) {
      for (int h = 0; h < heads; h++) {
        for (int i = 0; i < queryCount; i++) {
          int query = ((b * queryCount + i) * heads + h) * headSize;
          double logSum = logSums[(b * heads + h) * queryCount + i];
          if (logSum == Double.NEGATIVE_INFINITY) {
            continue;
          }
          double delta = dot(gradient, query, results, query, headSize);
          int visible = (int) mask.visibleKeys(i, keyCount);
          for (int j = 0; j < visible; j++) {
            int key = ((b * keyCount + j) * keyHeads + h / group) * headSize;
            double score = scale * dot(queries, query, keys, key, headSize);
            double probability = Math.exp(score - logSum);
            double dp = dot(gradient, query, values, key, headSize);
            double ds = scale * probability * (dp - delta);
            addScaled(gradient, query, probability, valueGradient, key, headSize);
            addScaled(keys, key, ds, queryGradient, query, headSize);
            addScaled(queries, query, ds, keyGradient, key, headSize);
          }
        }
      }
    }
    HostValues.write(queryGradient, dq);
    HostValues.write(keyGradient, dk);
    HostValues.write(valueGradient, dv);
  }

  private static double dot(double[] a, int startA, double[] b, int startB, int count) {
    double sum = 0;
    for (int i = 0; i < count; i++) {
      sum += a[startA + i] * b[startB + i];
    }
    return sum;
  }

  private static void addScaled(
      double[] x, int startX, double alpha, double[] y, int startY, int count) {
    for (int i = 0; i < count; i++) {
      y[startY + i] += alpha * x[startX + i];
    }
  }
}
