package dev.heddle.nn;

import dev.heddle.autograd.Tensor;
import dev.heddle.ops.Add;
import dev.heddle.ops.Embedding;
import dev.heddle.ops.Slice;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;

/** A learned vector for each position, added to the input; held whole by every rank. */
public final class PositionEmbedding extends Module {
  private final Parameter table;

  /** A table of {@code length} vectors of {@code size} features. */
  public PositionEmbedding(
      Layers layers, String name, long length, long size, Initializer initializer) {
    super(name);
    table =
        add(
            layers.parameter(
                ParameterSpec.whole(name + ".weight", Shape.of(length, size), initializer, true)));
  }

  /** {@code x} [B,S,C] plus the vectors of positions 0 to S - 1. */
  public Tensor forward(Tensor x) {
    return forward(x, 0);
  }

  /** {@code x} [B,S,C] plus the vectors of positions {@code start} to {@code start + S - 1}. */
  public Tensor forward(Tensor x, long start) {
    long end = start + x.dim(-2);
    if (start < 0 || end > table.value().dim(0)) {
      throw new IllegalArgumentException(
          "PositionEmbedding " + name() + ": positions " + start + " to " + (end - 1)
              + "; it has vectors for " + table.value().dim(0)
              + ": shorten the input or enlarge the context length");
    }
    return Add.add(x, Slice.slice(table.tensor(), 0, start, end));
  }

  /** {@code x} [..,C] plus the vectors of {@code positions} [..], such as a rank's pieces. */
  public Tensor forward(Tensor x, NDArray positions) {
    return Add.add(x, Embedding.embedding(positions, table.tensor()));
  }
}
