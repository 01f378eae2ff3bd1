package dev.heddle.oracle;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import dev.heddle.ops.Attention;
import dev.heddle.ops.Reshape;
import dev.heddle.ops.Rotary;
import dev.heddle.ops.RotaryTable;
import dev.heddle.ops.Scale;
import dev.heddle.ops.Transpose;
import dev.heddle.runtime.AttentionMask;
import java.util.ArrayList;
import java.util.List;

/** Attention in all its forms, and rotary position embedding. */
final class AttentionCases {
  private static final double BASE = 10_000;

  private final List<OperatorCase> cases = new ArrayList<>();

  /** Sizes: batch, queries, keys, query heads, key heads, head size. */
  private record Sizes(long batch, long queries, long keys, long heads, long keyHeads, long size) {
    @Override
    public String toString() {
      return "B" + batch + " Sq" + queries + " Sk" + keys + " H" + heads + "/" + keyHeads + " D"
          + size;
    }
  }

  static List<OperatorCase> all() {
    AttentionCases table = new AttentionCases();
    for (Sizes sizes :
        List.of(
            new Sizes(1, 1, 1, 1, 1, 1),
            new Sizes(1, 3, 3, 1, 1, 8),
            new Sizes(2, 5, 5, 3, 3, 7),
            new Sizes(1, 17, 17, 4, 2, 16),
            new Sizes(2, 33, 33, 3, 1, 20),
            new Sizes(1, 70, 70, 2, 2, 64),
            new Sizes(1, 131, 131, 2, 1, 32),
            new Sizes(1, 300, 300, 1, 1, 24))) {
      table.attention(sizes, AttentionMask.FULL, "full");
      table.attention(sizes, AttentionMask.CAUSAL, "causal");
      table.packed(sizes, AttentionMask.CAUSAL, "causal");
      table.packed(sizes, AttentionMask.FULL, "full");
    }
    for (Sizes sizes :
        List.of(
            new Sizes(1, 1, 9, 2, 2, 8),
            new Sizes(2, 5, 70, 2, 1, 16),
            new Sizes(1, 66, 3, 1, 1, 12))) {
      table.attention(sizes, AttentionMask.FULL, "full");
      table.attention(sizes, new AttentionMask(true, 4, 0), "causal, queries from 4");
      // The first queries see no key: their rows are zero.
      table.attention(sizes, new AttentionMask(true, 0, 2), "causal, keys from 2");
    }
    table.rotary();
    return table.cases;
  }

  private void attention(Sizes s, AttentionMask mask, String name) {
    double scale = 1 / Math.sqrt(s.size);
    List<Input> inputs =
        List.of(
            Input.normal(s.batch, s.queries, s.heads, s.size),
            Input.normal(s.batch, s.keys, s.keyHeads, s.size),
            Input.normal(s.batch, s.keys, s.keyHeads, s.size));
    cases.add(
        new OperatorCase(
            "attention " + name + " " + s,
            inputs,
            in -> Attention.attention(in.get(0), in.get(1), in.get(2), mask, scale),
            in -> composed(in.get(0), in.get(1), in.get(2), s, mask, scale)));
    cases.add(
        new OperatorCase(
            "attention of heads-first arrays, " + name + " " + s,
            List.of(
                Input.normal(s.batch, s.heads, s.queries, s.size),
                Input.normal(s.batch, s.keyHeads, s.keys, s.size),
                Input.normal(s.batch, s.keyHeads, s.keys, s.size)),
            in ->
                Attention.attention(
                    Transpose.transpose(in.get(0), 1, 2),
                    Transpose.transpose(in.get(1), 1, 2),
                    Transpose.transpose(in.get(2), 1, 2),
                    mask,
                    scale),
            in ->
                composed(
                    in.get(0).swapAxes(1, 2),
                    in.get(1).swapAxes(1, 2),
                    in.get(2).swapAxes(1, 2),
                    s,
                    mask,
                    scale)));
  }

  private void packed(Sizes s, AttentionMask mask, String name) {
    double scale = 1 / Math.sqrt(s.size);
    long all = s.heads + 2 * s.keyHeads;
    List<Input> inputs = List.of(Input.normal(s.batch, s.queries, all, s.size));
    cases.add(
        new OperatorCase(
            "packed attention " + name + " " + s,
            inputs,
            in -> Attention.packed(in.get(0), s.heads, mask, scale),
            in -> {
              NDList parts = split(in.get(0), s);
              return composed(parts.get(0), parts.get(1), parts.get(2), s, mask, scale);
            }));
    cases.add(
        new OperatorCase(
            "packed attention of a projection's [B,S,3C], " + name + " " + s,
            List.of(Input.normal(s.batch, s.queries, all * s.size)),
            in ->
                Attention.packed(
                    Reshape.reshape(Scale.scale(in.get(0), 1.25), s.batch, s.queries, all, s.size),
                    s.heads,
                    mask,
                    scale),
            in -> {
              NDList parts =
                  split(
                      LibTorch.times(in.get(0), 1.25).reshape(s.batch, s.queries, all, s.size), s);
              return composed(parts.get(0), parts.get(1), parts.get(2), s, mask, scale);
            }));
    if (s.size % 2 == 0) {
      cases.add(
          new OperatorCase(
              "packed attention with rotary positions " + name + " " + s,
              inputs,
              in ->
                  Attention.packedRotary(
                      in.get(0),
                      s.heads,
                      mask,
                      scale,
                      RotaryTable.of(
                          in.get(0).device(), in.get(0).dtype(), 3, s.queries, s.size, BASE)),
              in -> {
                NDList parts = split(in.get(0), s);
                return composed(
                    rotated(parts.get(0), 3),
                    rotated(parts.get(1), 3),
                    parts.get(2),
                    s,
                    mask,
                    scale);
              }));
    }
  }

  private static NDList split(NDArray packed, Sizes s) {
    return packed.split(new long[] {s.heads, s.heads + s.keyHeads}, 2);
  }

  /** Attention by its definition: q, k, v [B,S,H,D], masked scores with all keys in memory. */
  private static NDArray composed(
      NDArray q, NDArray k, NDArray v, Sizes s, AttentionMask mask, double scale) {
    NDManager manager = q.getManager();
    double[] hidden = new double[(int) (s.queries * s.keys)];
    double[] visible = new double[(int) s.queries];
    for (int i = 0; i < s.queries; i++) {
      for (int j = 0; j < s.keys; j++) {
        boolean seen = !mask.causal() || mask.keyStart() + j <= mask.queryStart() + i;
        hidden[(int) (i * s.keys + j)] = seen ? 0 : -1e30;
        visible[i] = seen ? 1 : visible[i];
      }
    }
    NDArray products = heads(q, s, s.queries).matMul(heads(k, s, s.keys).swapAxes(-1, -2));
    NDArray scores =
        LibTorch.times(products, scale)
            .add(manager.create(hidden, new Shape(1, 1, s.queries, s.keys)));
    return scores
        .softmax(-1)
        .mul(manager.create(visible, new Shape(1, 1, s.queries, 1)))
        .matMul(heads(v, s, s.keys))
        .transpose(0, 2, 1, 3);
  }

  /** [B,S,Hk,D] to [B,H,S,D], each head of keys repeated for the query heads that share it. */
  private static NDArray heads(NDArray x, Sizes s, long length) {
    long given = x.getShape().get(2);
    return x.transpose(0, 2, 1, 3)
        .expandDims(2)
        .broadcast(s.batch, given, s.heads / given, length, s.size)
        .reshape(s.batch, s.heads, length, s.size);
  }

  private void rotary() {
    for (long[] dims : new long[][] {{1, 1, 1, 2}, {2, 5, 3, 8}, {1, 33, 2, 34}, {2, 17, 1, 64}}) {
      cases.add(
          new OperatorCase(
              "rotary " + java.util.Arrays.toString(dims),
              List.of(Input.normal(dims)),
              in ->
                  Rotary.rotary(
                      in.get(0),
                      RotaryTable.of(
                          in.get(0).device(), in.get(0).dtype(), 7, dims[1], dims[3], BASE)),
              in -> rotated(in.get(0), 7)));
    }
  }

  /** x [B,S,H,D] rotated, half-split form, positions from {@code start} on. */
  private static NDArray rotated(NDArray x, long start) {
    long length = x.getShape().get(1);
    int half = (int) x.getShape().get(3) / 2;
    double[] cos = new double[(int) length * half];
    double[] sin = new double[(int) length * half];
    for (int p = 0; p < length; p++) {
      for (int i = 0; i < half; i++) {
        double angle = (start + p) / Math.pow(BASE, i / (double) half);
        cos[p * half + i] = Math.cos(angle);
        sin[p * half + i] = Math.sin(angle);
      }
    }
    Shape shape = new Shape(1, length, 1, half);
    NDArray c = x.getManager().create(cos, shape);
    NDArray s = x.getManager().create(sin, shape);
    NDList halves = x.split(new long[] {half}, 3);
    NDArray low = halves.get(0);
    NDArray high = halves.get(1);
    return low.mul(c).sub(high.mul(s)).concat(high.mul(c).add(low.mul(s)), 3);
  }
}
