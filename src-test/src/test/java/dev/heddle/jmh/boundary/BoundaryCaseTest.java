package dev.heddle.jmh.boundary;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.offset;

import dev.heddle.parallel.redistribute.BoundaryPlan;
import dev.heddle.parallel.redistribute.Strategy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What the benchmarks of boundaries measure is what they say. */
class BoundaryCaseTest {
  private static final long MIB = 1 << 20;

  @ParameterizedTest
  @EnumSource(LayoutPair.class)
  void everyPair_byEveryStrategy_deliversTheRightNumbers(LayoutPair pair) {
    for (RowSize size : List.of(RowSize.SMALL, RowSize.ODD)) {
      delivers(pair, size, Reach.THREADS, HostMemory.POOLED);
    }
  }

  @ParameterizedTest
  @EnumSource(HostMemory.class)
  void everyMemory_andReach_deliversTheRightNumbers(HostMemory memory) {
    if (memory.isAvailable()) {
      for (LayoutPair pair : List.of(LayoutPair.DP2_TO_CP2_HALVES, LayoutPair.RANK_TO_RANK)) {
        for (Reach reach : Reach.values()) {
          delivers(pair, RowSize.ODD, reach, memory);
        }
      }
    }
  }

  /** Making a case ready checks every number; then it is crossed and copied some more. */
  private static void delivers(LayoutPair pair, RowSize size, Reach reach, HostMemory memory) {
    BoundaryCase one = new BoundaryCase(pair, size, List.of(Strategy.values()), reach, memory);
    List<BoundaryPlan> plans = one.strategies().stream().map(one::plan).toList();
    List<Integer> ready = new ArrayList<>();
    one.run(
        plans,
        rank -> {
          for (BoundaryTransfer transfer : rank.transfers()) {
            for (Direction direction : Direction.values()) {
              transfer.copy(direction);
              transfer.cross(direction);
              transfer.check(direction);
            }
          }
          synchronized (ready) {
            ready.add(rank.world().rank());
          }
        });
    assertThat(ready).hasSize(pair.ranks());
  }

  @Test
  void batches_runOnEveryRank_oneAfterTheOther() {
    BoundaryCase one = smallCase();
    List<String> threads = new ArrayList<>();
    try (RankBatches ranks = new RankBatches(one, one.plan(Strategy.DIRECT))) {
      for (int i = 0; i < 3; i++) {
        ranks.run(
            transfer -> {
              transfer.cross(Direction.BACKWARD);
              transfer.check(Direction.FORWARD);
              synchronized (threads) {
                threads.add(Thread.currentThread().getName());
              }
            });
        assertThat(threads).hasSize((i + 1) * one.pair().ranks());
      }
    }
    assertThat(threads).containsOnly("rank-0", "rank-1");
  }

  @Test
  void aBatchThatFailsOnOneRank_isReportedWithWhatItThrew() {
    BoundaryCase one = smallCase();
    try (RankBatches ranks = new RankBatches(one, one.plan(Strategy.DIRECT))) {
      assertThatThrownBy(
              () ->
                  ranks.run(
                      transfer -> {
                        if (Thread.currentThread().getName().equals("rank-1")) {
                          throw new IllegalArgumentException("the second rank's");
                        }
                      }))
          .hasStackTraceContaining("the second rank's");
    }
  }

  private static BoundaryCase smallCase() {
    return new BoundaryCase(
        LayoutPair.DP2_TO_CP2_ZIGZAG,
        RowSize.SMALL,
        List.of(Strategy.DIRECT),
        Reach.THREADS,
        HostMemory.POOLED);
  }

  @Test
  void compare_findsAWrongNumber_andOneThatIsMissing() {
    float[] wanted = {1, 0, Float.NaN};

    BoundaryTransfer.compare("here", new float[] {1, 0, Float.NaN}, wanted);

    for (float[] got : Stream.of(new float[] {1, 2, Float.NaN}, new float[] {1}).toList()) {
      assertThatThrownBy(() -> BoundaryTransfer.compare("here", got, wanted))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("here")
          .hasMessageContaining("number 1");
    }
    assertThatThrownBy(() -> BoundaryTransfer.compare("here", new float[] {1, 0, 0}, wanted))
        .hasMessageContaining("number 2 is 0.0, wanted NaN");
  }

  @Test
  void volume_ofFanIn_isAllRows_andLeaderSendsMoreThanTheLeast() {
    Volume direct = volume(LayoutPair.DP2_TO_TP2, Strategy.DIRECT, Direction.FORWARD);
    Volume leader = volume(LayoutPair.DP2_TO_TP2, Strategy.LEADER, Direction.FORWARD);

    assertThat(direct).isEqualTo(new Volume(2 * MIB, 0, 2 * MIB, 2 * MIB));
    assertThat(direct.sentOfLeast()).isEqualTo(1);
    assertThat(leader.sentOfLeast()).isEqualTo(1.5);
  }

  @Test
  void volume_ofFanOut_isHalfOfTheRows_andNothingHasToBeSent() {
    Volume direct = volume(LayoutPair.TP2_TO_DP2, Strategy.DIRECT, Direction.FORWARD);

    assertThat(direct).isEqualTo(new Volume(MIB, 0, 0, 0));
    assertThat(direct.sentOfLeast()).isNaN();
  }

  @ParameterizedTest
  @EnumSource(names = {"DP2_TO_CP2_ZIGZAG", "DP2_TO_CP2_HALVES"})
  void volume_ofAPartOfASequence_countsTheZerosOfWords(LayoutPair pair) {
    Volume forward = volume(pair, Strategy.DIRECT, Direction.FORWARD);
    Volume backward = volume(pair, Strategy.DIRECT, Direction.BACKWARD);

    assertThat(forward).isEqualTo(new Volume(MIB, 3 * MIB, MIB, MIB));
    assertThat(backward).isEqualTo(new Volume(MIB, 0, MIB, MIB));
    assertThat(forward.gigabytesPerSecond(1000)).isEqualTo(4.194304, offset(1e-9));
  }

  @Test
  void volume_ofARankOnOneSide_isNothingOnTheOther() {
    BoundaryPlan plan = one(LayoutPair.RANK_TO_RANK).plan(Strategy.DIRECT);

    assertThat(Volume.of(plan.forward(), 0).written()).isZero();
    assertThat(Volume.of(plan.forward(), 1).written()).isEqualTo(2 * MIB);
    assertThat(Volume.of(plan.forward()).sent()).isEqualTo(2 * MIB);
  }

  private static Volume volume(LayoutPair pair, Strategy strategy, Direction direction) {
    return Volume.of(direction.of(one(pair).plan(strategy)));
  }

  private static BoundaryCase one(LayoutPair pair) {
    return new BoundaryCase(
        pair, RowSize.USUAL, List.of(Strategy.values()), Reach.THREADS, HostMemory.POOLED);
  }

  @Test
  void measure_givesATimeForEveryTurn_ofEachStrategyAndOfTheCopies() {
    BoundaryCase small =
        new BoundaryCase(
            LayoutPair.TP1_TO_TP2,
            RowSize.SMALL,
            List.of(Strategy.DIRECT, Strategy.LEADER),
            Reach.THREADS,
            HostMemory.POOLED);

    Map<Direction, BoundaryCase.Times> times = small.measure(3);

    assertThat(times).containsOnlyKeys(Direction.values());
    times
        .values()
        .forEach(
            of -> {
              assertThat(of.crossing()).containsOnlyKeys(Strategy.DIRECT, Strategy.LEADER);
              Stream.concat(of.crossing().values().stream(), Stream.of(of.copying()))
                  .forEach(
                      turns -> {
                        assertThat(turns).hasSize(3);
                        assertThat(Arrays.stream(turns)).allMatch(micros -> micros > 0);
                      });
            });
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void size_isReadAsItIsWritten(RowSize size) {
    assertThat(RowSize.of(size.label())).isEqualTo(size);
  }

  static Stream<RowSize> sizes() {
    return Stream.of(RowSize.USUAL, RowSize.ODD, RowSize.SMALL, RowSize.LARGE);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "3x4", "3x4x5x6", "3x0x5", "axbxc"})
  void size_thatIsNone_isRefused(String text) {
    assertThatThrownBy(() -> RowSize.of(text)).isInstanceOf(IllegalArgumentException.class);
  }
}
