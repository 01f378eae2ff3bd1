package dev.heddle.oracle;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.index.NDIndex;
import ai.djl.ndarray.types.Shape;
import dev.heddle.ops.Cast;
import dev.heddle.ops.Concat;
import dev.heddle.ops.Embedding;
import dev.heddle.ops.GatherRows;
import dev.heddle.ops.Multiply;
import dev.heddle.ops.Patchify;
import dev.heddle.ops.PlaceRows;
import dev.heddle.ops.Reshape;
import dev.heddle.ops.Slice;
import dev.heddle.ops.Transpose;
import dev.heddle.runtime.DType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Operators that move elements: rows by index, views, joins, patches, types. */
final class MovementCases {
  private final List<OperatorCase> cases = new ArrayList<>();

  static List<OperatorCase> all() {
    MovementCases table = new MovementCases();
    table.rows();
    table.views();
    table.patches();
    table.casts();
    return table.cases;
  }

  private void rows() {
    for (long[] size : new long[][] {{1, 1, 1}, {5, 9, 3}, {40, 7, 17}, {300, 65, 64}}) {
      long indices = size[0];
      long tableRows = size[1];
      long columns = size[2];
      String name = indices + " of [" + tableRows + "," + columns + "]";
      cases.add(
          new OperatorCase(
              "embedding " + name,
              List.of(Input.normal(tableRows, columns), Input.between(0, tableRows - 1, indices)),
              in -> Embedding.embedding(in.array(1), in.get(0)),
              in -> selected(in.get(0), in.get(1))));
      // Negative rows give zeros.
      cases.add(
          new OperatorCase(
              "gather rows " + name,
              List.of(Input.normal(tableRows, columns), Input.between(-2, tableRows - 1, indices)),
              in -> GatherRows.gatherRows(in.get(0), in.array(1)),
              in -> selected(in.get(0), in.get(1))));
    }
    cases.add(
        new OperatorCase(
            "embedding of ids [3,4] in [11,5]",
            List.of(Input.normal(11, 5), Input.between(0, 10, 3, 4)),
            in -> Embedding.embedding(in.array(1), in.get(0)),
            in -> selected(in.get(0), in.get(1).reshape(12)).reshape(3, 4, 5)));
    place("place 3 rows in [7,5]", 7, 5, 4, 0, 6);
    place("place 1 row in [1,1]", 1, 1, 0);
    place("place rows, one left out, in [9,33]", 9, 33, 8, -1, 2, 3);
    place("place all rows of [3,64]", 3, 64, 2, 1, 0);
  }

  private void place(String name, long rowCount, long columns, long... rows) {
    cases.add(
        new OperatorCase(
            name,
            List.of(
                Input.normal(rowCount, columns),
                Input.normal(rows.length, columns),
                Input.exactly(rows)),
            in -> PlaceRows.placeRows(in.get(0), in.array(2), in.get(1)),
            in -> {
              double[] kept = new double[(int) rowCount];
              Arrays.fill(kept, 1);
              double[] moved = new double[(int) rowCount * rows.length];
              for (int i = 0; i < rows.length; i++) {
                if (rows[i] >= 0) {
                  kept[(int) rows[i]] = 0;
                  moved[(int) rows[i] * rows.length + i] = 1;
                }
              }
              NDArray base = in.get(0);
              return base.mul(base.getManager().create(kept, new Shape(rowCount, 1)))
                  .add(
                      base.getManager()
                          .create(moved, new Shape(rowCount, rows.length))
                          .matMul(in.get(1)));
            }));
  }

  /** The rows of {@code table} that {@code rows} names, as a product with a matrix of 0 and 1. */
  private static NDArray selected(NDArray table, NDArray rows) {
    long[] wanted = rows.toLongArray();
    int count = (int) table.getShape().get(0);
    double[] selection = new double[wanted.length * count];
    for (int i = 0; i < wanted.length; i++) {
      if (wanted[i] >= 0) {
        selection[i * count + (int) wanted[i]] = 1;
      }
    }
    return table.getManager().create(selection, new Shape(wanted.length, count)).matMul(table);
  }

  private void views() {
    // Multiplied by another input, so that each element's gradient is its own.
    cases.add(
        new OperatorCase(
            "reshape [4,6] to [3,8]",
            List.of(Input.normal(4, 6), Input.normal(3, 8)),
            in -> Multiply.multiply(Reshape.reshape(in.get(0), 3, -1), in.get(1)),
            in -> in.get(0).reshape(3, 8).mul(in.get(1))));
    cases.add(
        new OperatorCase(
            "reshape of a transpose [4,6] to [24]",
            List.of(Input.normal(4, 6), Input.normal(24)),
            in ->
                Multiply.multiply(
                    Reshape.reshape(Transpose.transpose(in.get(0), 0, 1), 24), in.get(1)),
            in -> in.get(0).swapAxes(0, 1).reshape(24).mul(in.get(1))));
    cases.add(
        new OperatorCase(
            "permute [2,3,5,7]",
            List.of(Input.normal(2, 3, 5, 7)),
            in -> Transpose.permute(in.get(0), 3, 1, 0, 2),
            in -> in.get(0).transpose(3, 1, 0, 2)));
    cases.add(
        new OperatorCase(
            "slice 1..4 of the inner dim [5,9]",
            List.of(Input.normal(5, 9)),
            in -> Slice.slice(in.get(0), 1, 1, 4),
            in -> in.get(0).get(new NDIndex(":, 1:4"))));
    cases.add(
        new OperatorCase(
            "slice 2..3 of the outer dim [5,17]",
            List.of(Input.normal(5, 17)),
            in -> Slice.slice(in.get(0), 0, 2, 3),
            in -> in.get(0).get(new NDIndex("2:3"))));
    for (int dim = 0; dim < 3; dim++) {
      int along = dim;
      long[] first = {2, 3, 5};
      long[] second = {2, 3, 5};
      second[dim] = 9;
      cases.add(
          new OperatorCase(
              "concat along " + dim + " " + Arrays.toString(first) + Arrays.toString(second),
              List.of(Input.normal(first), Input.normal(second), Input.normal(first)),
              in -> Concat.concat(along, in.get(0), in.get(1), in.get(2)),
              in ->
                  ai.djl.ndarray.NDArrays.concat(
                      new NDList(in.get(0), in.get(1), in.get(2)), along)));
    }
  }

  private void patches() {
    for (long[] size : new long[][] {{1, 1, 2, 2, 1}, {2, 3, 4, 8, 4}, {1, 3, 15, 9, 3}}) {
      long down = size[2] / size[4];
      long across = size[3] / size[4];
      long patch = size[4];
      cases.add(
          new OperatorCase(
              "patchify [B,C,H,W], p " + Arrays.toString(size),
              List.of(Input.normal(size[0], size[1], size[2], size[3])),
              in -> Patchify.patchify(in.get(0), patch),
              in ->
                  in.get(0)
                      .reshape(size[0], size[1], down, patch, across, patch)
                      .transpose(0, 2, 4, 1, 3, 5)
                      .reshape(size[0], down * across, size[1] * patch * patch)));
      cases.add(
          new OperatorCase(
              "patchify channels last [B,C,H,W], p " + Arrays.toString(size),
              List.of(Input.normal(size[0], size[2], size[3], size[1])),
              in -> Patchify.patchifyChannelsLast(in.get(0), patch),
              in ->
                  in.get(0)
                      .transpose(0, 3, 1, 2)
                      .reshape(size[0], size[1], down, patch, across, patch)
                      .transpose(0, 2, 4, 1, 3, 5)
                      .reshape(size[0], down * across, size[1] * patch * patch)));
    }
  }

  private void casts() {
    for (DType dtype : List.of(DType.F32, DType.F64)) {
      cases.add(
          new OperatorCase(
              "cast to " + dtype + " [5,9], values that both types hold",
              List.of(
                  new Input(
                      Input.normal(5, 9).shape(), (random, i) -> random.nextInt(64) / 8.0, true)),
              in -> Cast.cast(in.get(0), dtype),
              in -> LibTorch.times(in.get(0), 1)));
    }
  }
}
