package dev.heddle.jmh.bench;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.jmh.boundary.BoundaryCase;
import dev.heddle.jmh.boundary.HostMemory;
import dev.heddle.jmh.boundary.LayoutPair;
import dev.heddle.jmh.boundary.Reach;
import dev.heddle.jmh.boundary.RowSize;
import dev.heddle.jmh.boundary.Volume;
import dev.heddle.parallel.redistribute.Strategy;
import java.util.HashSet;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What {@code heddle bench boundary} measures, and how a row tells it. */
class BoundaryRowsTest {
  @Test
  void whole_hasEveryPair_size_strategy_reachAndMemory_onceEach() {
    List<BoundaryCase> cases = BoundaryRows.whole();

    assertThat(cases).extracting(BoundaryCase::pair).contains(LayoutPair.values());
    assertThat(cases)
        .extracting(BoundaryCase::size)
        .contains(RowSize.SMALL, RowSize.ODD, RowSize.USUAL, RowSize.LARGE);
    assertThat(cases).flatExtracting(BoundaryCase::strategies).contains(Strategy.values());
    assertThat(cases).extracting(BoundaryCase::reach).contains(Reach.values());
    assertThat(cases).extracting(BoundaryCase::memory).contains(HostMemory.values());
    assertThat(new HashSet<>(cases)).hasSameSizeAs(cases);
  }

  @Test
  void quick_isAPartOfTheWhole_andHasAnOddSize() {
    List<String> whole = BoundaryRows.whole().stream().map(BoundaryCase::label).toList();

    assertThat(BoundaryRows.quick()).extracting(BoundaryCase::label).isSubsetOf(whole);
    assertThat(BoundaryRows.quick()).extracting(BoundaryCase::size).contains(RowSize.ODD);
  }

  @Test
  void aRow_tellsSpeedAndBytes() {
    Row row = row(new Volume(3_000_000, 1_000_000, 1_500_000, 1_000_000));

    assertThat(BenchTable.line(row))
        .endsWith("plain copy; 8.0 GB/s, 1,500,000 bytes sent, 1.50 of the least");
    assertThat(row.json())
        .containsEntry("bytesWritten", 4_000_000L)
        .containsEntry("gigabytesPerSecond", 8.0)
        .containsEntry("bytesSent", 1_500_000L)
        .containsEntry("leastBytesSent", 1_000_000L);
  }

  @Test
  void aRow_whereNothingMustBeSent_saysSo() {
    assertThat(BenchTable.line(row(new Volume(4_000_000, 0, 0, 0))))
        .endsWith("0 bytes sent, where none must be");
  }

  private static Row row(Volume volume) {
    return new Row("boundary", 2, "f32", 500, 400, "plain copy", "us", 1.11, volume);
  }
}
