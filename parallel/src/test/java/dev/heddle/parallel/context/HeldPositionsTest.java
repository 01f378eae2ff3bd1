package dev.heddle.parallel.context;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.nn.Layers;
import dev.heddle.nn.LocalLayers;
import dev.heddle.nn.SequenceSpec;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.parallel.layout.Holding;
import dev.heddle.parallel.layout.Layout;
import dev.heddle.parallel.layout.RowCounts;
import dev.heddle.parallel.layout.RowLayout;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.parallel.tensor.TensorParallelLayers;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.MetaDevice;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.LongStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Layers hold the positions that a boundary delivers rows to. */
class HeldPositionsTest {
  /** The layers of one rank of {@code mesh} over (TP, CP). */
  static Layers layers(
      Device device, DType dtype, Mesh mesh, Communicator world, ContextMethod method, boolean sp) {
    int rank = world.rank();
    Communicator tp = world.subgroup("tp", mesh.group(rank, Axis.TP)).orElseThrow();
    Communicator cp = world.subgroup("cp", mesh.group(rank, Axis.CP)).orElseThrow();
    Layers inside =
        tp.size() == 1
            ? new LocalLayers(device, dtype, 3)
            : new TensorParallelLayers(device, dtype, 3, tp, sp);
    return cp.size() == 1 ? inside : new ContextParallelLayers(inside, cp, method);
  }

  static Mesh mesh(int tp, int cp) {
    return Mesh.onRanks(0, tp * cp).axis(Axis.TP, tp).axis(Axis.CP, cp).build();
  }

  @ParameterizedTest
  @CsvSource({
    "1,2,false",
    "1,4,false",
    "2,1,true",
    "3,1,true",
    "2,2,true",
    "2,3,true",
    "3,2,true",
    "2,4,true",
    "2,3,false"
  })
  void heldPositions_areThoseOfTheRowLayout(int tp, int cp, boolean sequenceParallel) {
    Mesh mesh = mesh(tp, cp);
    Layout.Builder between = Layout.on(mesh).zigzag(Axis.CP, RowLayout.POSITION_DIM);
    Layout held =
        (sequenceParallel
                ? between.shard(Axis.TP, RowLayout.POSITION_DIM)
                : between.invariant(Axis.TP))
            .build();
    Layout entered =
        Layout.on(mesh).zigzag(Axis.CP, RowLayout.POSITION_DIM).invariant(Axis.TP).build();
    LocalWorld.run(
        tp * cp,
        world -> {
          try (MetaDevice device = MetaDevice.open()) {
            Layers layers =
                layers(device, DType.F32, mesh, world, ContextMethod.RING, sequenceParallel);
            Random random = new Random(11);
            for (int i = 0; i < 40; i++) {
              boolean packed = random.nextBoolean();
              SequenceSpec sequence = RandomSequences.draw(random, packed);
              String what = "case " + i + ", " + sequence + ", rank " + world.rank();
              assertThat(lanes(sequence, layers.heldPositions(sequence)))
                  .as(what)
                  .containsExactly(rows(held, sequence, packed, world.rank()));
              assertThat(lanes(sequence, layers.enteredPositions(sequence)))
                  .as(what)
                  .containsExactly(rows(entered, sequence, packed, world.rank()));
            }
          }
        });
  }

  /** The rows [B S] at some positions of every lane, in the order of the buffer. */
  private static long[] lanes(SequenceSpec sequence, long[] positions) {
    return LongStream.range(0, sequence.lanes())
        .flatMap(lane -> Arrays.stream(positions).map(p -> lane * sequence.length() + p))
        .toArray();
  }

  /** The same as the layout says: the row at each place of the buffer. */
  private static long[] rows(Layout layout, SequenceSpec sequence, boolean packed, int rank) {
    int[] lengths =
        packed
            ? LongStream.range(0, sequence.documentCount())
                .mapToInt(
                    d -> (int) (sequence.documentEnd((int) d) - sequence.documentStarts()[(int) d]))
                .toArray()
            : LongStream.range(0, sequence.lanes())
                .mapToInt(b -> (int) sequence.length())
                .toArray();
    RowLayout.Builder builder = RowLayout.of(layout, RowCounts.perSample(lengths), 4);
    Holding holding = (packed ? builder.packed() : builder).build().holdings().of(rank);
    long[] rows = new long[(int) holding.bufferRows()];
    for (int run = 0; run < holding.runs().count(); run++) {
      for (long row = holding.runs().start(run); row < holding.runs().end(run); row++) {
        rows[(int) (holding.runs().place(run) + row - holding.runs().start(run))] = row;
      }
    }
    return rows;
  }
}
