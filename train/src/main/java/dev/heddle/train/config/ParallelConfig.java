package dev.heddle.train.config;

import dev.heddle.parallel.context.ContextMethod;
import dev.heddle.parallel.pipeline.ScheduleKind;
import dev.heddle.parallel.redistribute.Strategy;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Where each component runs.
 *
 * @param ranks ranks of the run, at least 1
 * @param schedule the order in which stages work on microbatches
 * @param boundary how rows cross from one component to another
 * @param vision the vision encoder and its projector
 * @param audio the audio encoder and its projector; null where the model has none
 * @param language the language model
 */
public record ParallelConfig(
    int ranks,
    ScheduleKind schedule,
    Strategy boundary,
    Placement vision,
    @Nullable Placement audio,
    Placement language) {

  /** Two components under the usual schedule. */
  public ParallelConfig(int ranks, Placement vision, Placement language) {
    this(ranks, ScheduleKind.ONE_FORWARD_ONE_BACKWARD, Strategy.DIRECT, vision, null, language);
  }

  /** Everything on rank 0. */
  public static ParallelConfig singleRank() {
    return new ParallelConfig(1, Placement.singleRank(), Placement.singleRank());
  }

  /** The components' placements by name, sources before their destination. */
  public Map<String, Placement> placements() {
    Map<String, Placement> placements = new LinkedHashMap<>();
    placements.put("vision", vision);
    if (audio != null) {
      placements.put("audio", audio);
    }
    placements.put("language", language);
    return Collections.unmodifiableMap(placements);
  }

  /** The same with the audio encoder on rank 0. */
  ParallelConfig withAudioOnRank0() {
    return new ParallelConfig(ranks, schedule, boundary, vision, Placement.singleRank(), language);
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
   * @param division how the axes divide the component
   */
  public record Placement(RankSet ranks, int tp, int cp, int pp, int dp, Division division) {

    /** A placement divided in the usual ways. */
    public Placement(RankSet ranks, int tp, int cp, int pp, int dp) {
      this(ranks, tp, cp, pp, dp, Division.USUAL);
    }

    /** Rank 0 alone. */
    public static Placement singleRank() {
      return new Placement(RankSet.range(0, 1), 1, 1, 1, 1);
    }

    /** The product of the axes. */
    public long axisProduct() {
      return Math.multiplyExact(
          Math.multiplyExact((long) tp, cp), Math.multiplyExact((long) pp, dp));
    }

    /** The number of pipeline stages, of which each rank has {@link Division#chunks}. */
    public int stageCount() {
      return pp * division.chunks();
    }
  }

  /**
   * How the axes divide a component.
   *
   * @param cpMethod how context-parallel ranks compute attention together
   * @param sequenceParallel whether tensor-parallel ranks divide the sequence between the layers
   *     that they divide
   * @param stageLayers blocks of each pipeline stage; empty is as even as they go
   * @param chunks pipeline stages that each rank has, more than 1 under the interleaved schedule
   * @param shardOptimizer whether the data-parallel ranks divide the optimizer's state (ZeRO-1)
   */
  public record Division(
      ContextMethod cpMethod,
      boolean sequenceParallel,
      List<Integer> stageLayers,
      int chunks,
      boolean shardOptimizer) {
    /** What holds where nothing is said. */
    public static final Division USUAL =
        new Division(ContextMethod.RING, false, List.of(), 1, false);

    /** Takes a copy. */
    public Division {
      stageLayers = List.copyOf(stageLayers);
    }
  }
}
