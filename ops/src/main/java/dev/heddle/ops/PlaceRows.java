package dev.heddle.ops;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.NDArray;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;

/**
 * y = base with rows[i] replaced by values[i,:]. base [R,C], rows [n], values [n,C] -> y [R,C]. So
 * image rows enter the text sequence.
 *
 * <p>dbase = dy with the replaced rows 0; dvalues[i,:] = dy[rows[i],:].
 */
public final class PlaceRows {
  private PlaceRows() {}

  /**
   * {@code base} with rows replaced. Reads {@code rows} on the host; {@link #placeRows(Tensor,
   * RowPlacement, Tensor)} doesn't.
   *
   * @param rows [n] of I64 or I32, each at most once; negative leaves a value out
   */
  public static Tensor placeRows(Tensor base, NDArray rows, Tensor values) {
    // Without bytes any places are as good as others.
    long[] places =
        rows.device().hasBytes() ? rows.toLongs() : LongStream.range(0, rows.size()).toArray();
    return placeRows(base, RowPlacement.of(base.device(), base.dim(0), places), values);
  }

  /** {@code base} with the rows of {@code placement} replaced by those of {@code values}. */
  public static Tensor placeRows(Tensor base, RowPlacement placement, Tensor values) {
    check(base, placement, values);
    NDArray y = GatherRows.gathered(base.value(), placement.kept());
    y.kernels().scatterAddRows(Matrices.rows(values.value()), placement.rows(), y);
    return Tensor.from(y, new Saved(base, placement, values));
  }

  private record Saved(Tensor base, RowPlacement placement, Tensor values) implements Node {
    @Override
    public Tensor[] inputs() {
      return new Tensor[] {base, values};
    }

    @Override
    public @Nullable NDArray[] saved() {
      return new @Nullable NDArray[] {
        base.requiresGradient() ? placement.kept() : null,
        values.requiresGradient() ? placement.rows() : null
      };
    }

    @Override
    public Gradients backward(NDArray dy) {
      return Gradients.of(
          base.requiresGradient() ? GatherRows.gathered(dy, placement.kept()) : null,
          values.requiresGradient() ? GatherRows.gathered(dy, placement.rows()) : null);
    }
  }

  private static void check(Tensor base, RowPlacement placement, Tensor values) {
    String operator = "PlaceRows.placeRows";
    if (base.rank() != 2 || base.dim(0) != placement.kept().dim(0)) {
      throw Refusal.of(
          operator,
          "base",
          base,
          "[" + placement.kept().dim(0) + ",C] for this placement",
          "Fold batch and sequence with Reshape.reshape.");
    }
    long count = placement.rows().dim(0);
    if (values.rank() != 2 || values.dim(0) != count || values.dim(1) != base.dim(1)) {
      throw Refusal.of(
          operator,
          "values",
          values,
          "["
              + count
              + ","
              + base.dim(1)
              + "] for base "
              + Refusal.name(base)
              + " and "
              + count
              + " rows",
          "There is one value a row placed.");
    }
    Refusal.unlessSameType(operator, "values", values, "base", base);
  }
}
