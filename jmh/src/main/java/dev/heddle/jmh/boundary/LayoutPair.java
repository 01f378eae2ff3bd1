package dev.heddle.jmh.boundary;

import dev.heddle.parallel.layout.Layout;
import dev.heddle.parallel.layout.RowCounts;
import dev.heddle.parallel.layout.RowLayout;
import dev.heddle.parallel.layout.RowPlacement;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.parallel.redistribute.Boundary;
import java.util.Arrays;

/** The layouts before and behind a boundary. */
public enum LayoutPair {
  /** Fan-in: vision data-parallel, language tensor-parallel; every rank needs all rows. */
  DP2_TO_TP2("dp2 to tp2", 2),
  /** Fan-out: all ranks have all rows, each needs its own. */
  TP2_TO_DP2("tp2 to dp2", 2),
  /**
   * A sequence cut into four pieces, each rank with one of the first half and one of the second.
   */
  DP2_TO_CP2_ZIGZAG("dp2 to cp2 zigzag", 2),
  /** A sequence cut into two halves. */
  DP2_TO_CP2_HALVES("dp2 to cp2 halves", 2),
  /** One rank has all rows, two need them; one of these is the first. */
  TP1_TO_TP2("tp1 to tp2", 2),
  /** The ends of a pipeline: one rank has the rows, another needs them. */
  RANK_TO_RANK("rank to rank", 2),
  /** Sizes that do not divide. */
  DP3_TO_TP3("dp3 to tp3", 3),
  /** Four ranks, to both axes at once. */
  DP4_TO_TP2_DP2("dp4 to tp2 dp2", 4),
  /** Two ranks of each side, on ranks of their own. */
  DP2_TO_OTHER_TP2("dp2 to other tp2", 4);

  /** Places of a sequence for each row of its picture; the others are words. */
  private static final int PLACES_A_ROW = 4;

  private final String label;
  private final int ranks;

  LayoutPair(String label, int ranks) {
    this.label = label;
    this.ranks = ranks;
  }

  /** How tables call it. */
  public String label() {
    return label;
  }

  /** How many ranks the two sides have together. */
  public int ranks() {
    return ranks;
  }

  /** The boundary between the two layouts. */
  public Boundary boundary(RowSize size) {
    int[] rows = new int[size.samples()];
    Arrays.fill(rows, size.rows());
    RowCounts counts = RowCounts.perSample(rows);
    RowPlacement dense = RowPlacement.dense(counts);
    return switch (this) {
      case DP2_TO_TP2 -> pair(side(0, 1, 2, dense, size), side(0, 2, 1, dense, size));
      case TP2_TO_DP2 -> pair(side(0, 2, 1, dense, size), side(0, 1, 2, dense, size));
      case DP2_TO_CP2_ZIGZAG -> pair(side(0, 1, 2, dense, size), context(true, counts, size));
      case DP2_TO_CP2_HALVES -> pair(side(0, 1, 2, dense, size), context(false, counts, size));
      case TP1_TO_TP2 -> pair(side(0, 1, 1, dense, size), side(0, 2, 1, dense, size));
      case RANK_TO_RANK -> pair(side(0, 1, 1, dense, size), side(1, 1, 1, dense, size));
      case DP3_TO_TP3 -> pair(side(0, 1, 3, dense, size), side(0, 3, 1, dense, size));
      case DP4_TO_TP2_DP2 -> pair(side(0, 1, 4, dense, size), side(0, 2, 2, dense, size));
      case DP2_TO_OTHER_TP2 -> pair(side(0, 1, 2, dense, size), side(2, 2, 1, dense, size));
    };
  }

  private static Boundary pair(RowLayout source, RowLayout destination) {
    return new Boundary(source, destination);
  }

  private static RowLayout side(
      int firstRank, int tensor, int data, RowPlacement placement, RowSize size) {
    Mesh mesh =
        Mesh.onRanks(firstRank, tensor * data).axis(Axis.TP, tensor).axis(Axis.DP, data).build();
    Layout layout = Layout.on(mesh).invariant(Axis.TP).shard(Axis.DP, RowLayout.SAMPLE_DIM).build();
    return RowLayout.of(layout, placement, size.features()).build();
  }

  /** Two ranks with a part of each sequence, pictures in the middle and words around them. */
  private static RowLayout context(boolean zigzag, RowCounts counts, RowSize size) {
    int length = PLACES_A_ROW * size.rows();
    int[] lengths = new int[size.samples()];
    Arrays.fill(lengths, length);
    int[][] positions = new int[size.samples()][size.rows()];
    int first = zigzag ? size.rows() / 2 : (length - size.rows()) / 2;
    for (int[] of : positions) {
      Arrays.setAll(of, i -> first + i);
    }
    Mesh mesh = Mesh.onRanks(0, 2).axis(Axis.CP, 2).build();
    Layout.Builder layout = Layout.on(mesh);
    layout =
        zigzag
            ? layout.zigzag(Axis.CP, RowLayout.POSITION_DIM)
            : layout.shard(Axis.CP, RowLayout.POSITION_DIM);
    return RowLayout.of(
            layout.build(), RowPlacement.inSequence(counts, lengths, positions), size.features())
        .inSequence()
        .build();
  }
}
