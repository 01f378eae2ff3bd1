package dev.heddle.train.config;

/**
 * Where each component runs.
 *
 * @param ranks ranks of the run, at least 1
 * @param vision the vision encoder and the projector
 * @param language the language model
 */
public record ParallelConfig(int ranks, Placement vision, Placement language) {

  /** Everything on rank 0. */
  public static ParallelConfig singleRank() {
    return new ParallelConfig(1, Placement.singleRank(), Placement.singleRank());
  }

  /**
   * The ranks of one component and the sizes of its mesh axes, {@code tp} varying fastest, then
   * {@code cp}, {@code pp}, {@code dp}.
   *
   * @param ranks the ranks; as many as the product of the axes
   * @param tp tensor-parallel size
   * @param cp context-parallel size
   * @param pp pipeline-parallel size
   * @param dp data-parallel size
   */
  public record Placement(RankSet ranks, int tp, int cp, int pp, int dp) {

    /** Rank 0 alone. */
    public static Placement singleRank() {
      return new Placement(RankSet.range(0, 1), 1, 1, 1, 1);
    }

    /** The product of the axes. */
    public long axisProduct() {
      return Math.multiplyExact(
          Math.multiplyExact((long) tp, cp), Math.multiplyExact((long) pp, dp));
    }
  }
}
