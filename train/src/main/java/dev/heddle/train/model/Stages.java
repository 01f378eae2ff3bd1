package dev.heddle.train.model;

import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.layout.Split;
import dev.heddle.train.config.ParallelConfig;
import java.util.ArrayList;
import java.util.List;

/**
 * How the blocks of a component are cut into pipeline stages, and which stages a rank runs: those
 * whose number modulo {@code ranks} is its coordinate. What stands before the blocks belongs to the
 * first stage, what stands behind them to the last.
 *
 * @param blocks the blocks of each stage, consecutive
 * @param ranks how many pipeline ranks there are
 * @param coordinate this rank's coordinate among them
 */
public record Stages(List<Interval> blocks, int ranks, int coordinate) {
  /** Checks that the stages follow each other and each rank has as many of them. */
  public Stages {
    blocks = List.copyOf(blocks);
    if (blocks.isEmpty() || ranks < 1 || blocks.size() % ranks != 0) {
      throw new IllegalArgumentException(
          "stages: got "
              + blocks.size()
              + " over "
              + ranks
              + " pipeline ranks, wanted as many on each rank and at least one");
    }
    if (coordinate < 0 || coordinate >= ranks) {
      throw new IllegalArgumentException(
          "stages: got pipeline coordinate " + coordinate + ", wanted 0 to " + (ranks - 1));
    }
    long next = 0;
    for (Interval stage : blocks) {
      if (stage.start() != next || stage.isEmpty()) {
        throw new IllegalArgumentException(
            "stages: got blocks "
                + blocks
                + ", wanted consecutive stages of at least one block each; use fewer stages than"
                + " blocks");
      }
      next = stage.end();
    }
  }

  /** One stage of all {@code layers} blocks. */
  public static Stages whole(int layers) {
    return new Stages(List.of(new Interval(0, layers)), 1, 0);
  }

  /**
   * The stages of {@code layers} blocks under a placement, for the rank with the given pipeline
   * coordinate.
   *
   * @throws IllegalArgumentException when there are more stages than blocks, or {@code stageLayers}
   *     does not say how many blocks each of the stages has
   */
  public static Stages of(int layers, ParallelConfig.Placement placement, int coordinate) {
    int count = placement.stageCount();
    List<Integer> sizes = placement.division().stageLayers();
    if (!sizes.isEmpty()
        && (sizes.size() != count || sizes.stream().mapToInt(Integer::intValue).sum() != layers)) {
      throw new IllegalArgumentException(
          "stages: got stageLayers "
              + sizes
              + ", wanted a number for each of "
              + count
              + " stages, together "
              + layers
              + " blocks");
    }
    List<Interval> blocks = new ArrayList<>();
    long next = 0;
    for (int stage = 0; stage < count; stage++) {
      long size =
          sizes.isEmpty() ? Split.part(layers, count, stage).size() : (long) sizes.get(stage);
      blocks.add(new Interval(next, next + size));
      next += size;
    }
    return new Stages(blocks, placement.pp(), coordinate);
  }

  /** How many stages the component has. */
  public int count() {
    return blocks.size();
  }

  /** The number of the last stage. */
  public int last() {
    return blocks.size() - 1;
  }

  /** Whether this rank runs the stage. */
  public boolean runs(int stage) {
    return stage % ranks == coordinate;
  }

  /** The stages that this rank runs, in order. */
  public List<Integer> mine() {
    List<Integer> mine = new ArrayList<>();
    for (int stage = coordinate; stage < count(); stage += ranks) {
      mine.add(stage);
    }
    return mine;
  }

  /**
   * Checks that this rank runs a stage.
   *
   * @throws IllegalArgumentException naming the stages that it runs
   */
  void require(int stage, String component) {
    if (stage < 0 || stage > last() || !runs(stage)) {
      throw new IllegalArgumentException(
          component + ": this rank was asked to run stage " + stage + "; it runs " + mine());
    }
  }
}
