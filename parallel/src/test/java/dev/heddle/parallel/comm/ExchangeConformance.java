package dev.heddle.parallel.comm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What grouped point-to-point messages of every {@link Communicator} do. */
abstract class ExchangeConformance {
  abstract World world();

  private void run(int ranks, RankBody body) {
    world().run(ranks, World.PATIENT, world().program(body));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 8})
  void exchange_aroundARing_bringsTheNeighboursArray(int ranks) {
    run(
        ranks,
        (world, device) -> {
          int me = world.rank();
          int left = (me + ranks - 1) % ranks;
          for (DType dtype : DType.values()) {
            for (long size : new long[] {0, 1, 63, 100_000}) {
              NDArray own = Values.array(device, dtype, Shape.of(size), me);
              NDArray other = NDArray.empty(device, dtype, size);
              world
                  .exchange(
                      List.of(Message.send((me + 1) % ranks, own), Message.receive(left, other)))
                  .await();
              assertThat(other.toDoubles()).isEqualTo(Values.of(dtype, size, left));
              own.free();
              other.free();
            }
          }
        });
  }

  /**
   * MPI counts a message in an int, so what is longer than its limit goes in several messages. The
   * jobs of three and eight processes have limits of 4099 and 65536 bytes instead of 2^30.
   */
  @ParameterizedTest
  @ValueSource(longs = {4098, 4099, 4100, 3 * 4099, 65_535, 65_536, 65_537, 2 * 65_536, 1_000_003})
  void exchange_ofBytesAroundTheLimitOfAMessage_keepsEachAtItsPlace(long bytes) {
    run(
        3,
        (world, device) -> {
          int me = world.rank();
          NDArray own = NDArray.empty(device, DType.U8, bytes);
          NDArray other = NDArray.empty(device, DType.U8, bytes);
          NDArray wide = NDArray.empty(device, DType.U8, bytes, 2);
          // Every other byte of memory: neither end is contiguous.
          NDArray sparse = wide.slice(1, 1, 2);
          byte[] packed = new byte[Math.toIntExact(bytes)];
          byte[] apart = new byte[2 * packed.length];
          for (int i = 0; i < packed.length; i++) {
            packed[i] = at(i, me);
            apart[2 * i + 1] = at(i, me + 10);
          }
          own.writeBytes(MemorySegment.ofArray(packed));
          wide.writeBytes(MemorySegment.ofArray(apart));
          NDArray spread = NDArray.empty(device, DType.U8, bytes, 2);
          int right = (me + 1) % 3;
          int left = (me + 2) % 3;
          world
              .exchange(
                  List.of(
                      Message.send(right, own),
                      Message.send(right, sparse),
                      Message.receive(left, other),
                      Message.receive(left, spread.slice(1, 0, 1))))
              .await();
          other.readBytes(MemorySegment.ofArray(packed));
          spread.readBytes(MemorySegment.ofArray(apart));
          long wrong = 0;
          for (int i = 0; i < packed.length; i++) {
            boolean isRight = packed[i] == at(i, left);
            boolean isRightApart = apart[2 * i] == at(i, left + 10);
            wrong += isRight && isRightApart ? 0 : 1;
          }
          assertThat(wrong).as("bytes at another place").isZero();
        });
  }

  /** A pattern with a period that no limit is a multiple of. */
  private static byte at(long index, int seed) {
    return (byte) ((index + 31L * seed) % 251);
  }

  @Test
  void exchange_ofPickedRowsAndColumns_placesThemWithoutTouchingTheRest() {
    run(
        2,
        (world, device) -> {
          double[] values = Values.of(DType.F32, 60, 0);
          if (world.rank() == 0) {
            NDArray matrix = NDArray.of(device, DType.F32, Shape.of(10, 6), values);
            // Rows out of order and one of them twice; columns 1 to 4.
            long[] rows = {7, 9, 0, 1, 0, 1, 4, 4, 3, 4};
            world.exchange(List.of(Message.sendRows(1, matrix, rows, 1, 4))).await();
          } else {
            NDArray matrix = NDArray.of(device, DType.F32, Shape.of(6, 8), new double[48]);
            // The same five rows, cut differently, to columns 3 to 6.
            long[] rows = {5, 6, 0, 3, 4, 5};
            world.exchange(List.of(Message.receiveRows(0, matrix, rows, 3, 4))).await();
            double[] got = matrix.toDoubles();
            int[] sources = {8, 0, 0, -1, 3, 7};
            for (int row = 0; row < 6; row++) {
              for (int column = 0; column < 8; column++) {
                boolean inside = sources[row] >= 0 && column >= 3 && column < 7;
                double wanted = inside ? values[sources[row] * 6 + column - 2] : 0;
                assertThat(got[row * 8 + column])
                    .as("row %d column %d", row, column)
                    .isEqualTo(wanted);
              }
            }
          }
        });
  }

  @Test
  void exchange_betweenViewsOfDifferentStrides_movesElementsInRowMajorOrder() {
    run(
        2,
        (world, device) -> {
          double[] values = Values.of(DType.F64, 24, 1);
          if (world.rank() == 0) {
            NDArray array = NDArray.of(device, DType.F64, Shape.of(2, 3, 4), values);
            NDArray transposed = array.transpose(0, 2);
            world.exchange(List.of(Message.send(1, transposed))).await();
          } else {
            NDArray array = NDArray.of(device, DType.F64, Shape.of(6, 8), new double[48]);
            world.exchange(List.of(Message.receive(0, array.slice(1, 0, 4)))).await();
            double[] got = array.toDoubles();
            int position = 0;
            for (int i = 0; i < 4; i++) {
              for (int j = 0; j < 3; j++) {
                for (int k = 0; k < 2; k++) {
                  assertThat(got[position / 4 * 8 + position % 4])
                      .isEqualTo(values[k * 12 + j * 4 + i]);
                  position++;
                }
              }
            }
          }
        });
  }

  @Test
  void exchange_severalMessagesToOnePeer_matchInOrderAcrossCalls() {
    run(
        2,
        (world, device) -> {
          int peer = 1 - world.rank();
          List<NDArray> received = new ArrayList<>();
          List<Handle> handles = new ArrayList<>();
          List<Message> all = new ArrayList<>();
          for (int i = 0; i < 12; i++) {
            NDArray out = NDArray.of(device, DType.I64, Shape.of(1), 100 * world.rank() + i);
            NDArray in = NDArray.empty(device, DType.I64, 1);
            received.add(in);
            if (world.rank() == 0) {
              // One call for each message ...
              handles.add(world.exchange(List.of(Message.send(peer, out))));
              handles.add(world.exchange(List.of(Message.receive(peer, in))));
            } else {
              // ... meets one call for all of them.
              all.add(Message.receive(peer, in));
              all.add(Message.send(peer, out));
            }
          }
          handles.add(world.exchange(all));
          for (int i = handles.size() - 1; i >= 0; i--) {
            handles.get(i).await();
          }
          for (int i = 0; i < 12; i++) {
            assertThat(received.get(i).toLongs()).containsExactly(100L * peer + i);
          }
        });
  }

  @Test
  void exchange_withItself_copies() {
    run(
        2,
        (world, device) -> {
          int me = world.rank();
          NDArray from = Values.array(device, DType.F32, Shape.of(5), me);
          NDArray to = NDArray.empty(device, DType.F32, 5);
          CommunicationStatistics before = world.statistics().snapshot();
          world.exchange(List.of(Message.receive(me, to), Message.send(me, from))).await();
          assertThat(to.toDoubles()).isEqualTo(from.toDoubles());
          assertThat(world.statistics().since(before).of(CommunicationKind.EXCHANGE))
              .isEqualTo(new CommunicationStatistics.Traffic(1, 0, 0));
        });
  }

  @Test
  void exchange_ofNothing_completes() {
    run(2, (world, device) -> world.exchange(List.of()).await());
  }

  @Test
  void exchange_postedByOneRank_doesNotBlockIt() {
    run(
        2,
        (world, device) -> {
          NDArray a = NDArray.of(device, DType.F32, Shape.of(1), 1.0 + world.rank());
          NDArray b = NDArray.empty(device, DType.F32, 1);
          if (world.rank() == 0) {
            Handle send = world.exchange(List.of(Message.send(1, a)));
            world.barrier();
            send.await();
          } else {
            world.barrier();
            world.exchange(List.of(Message.receive(0, b))).await();
            assertThat(b.item()).isEqualTo(1);
          }
        });
  }

  @Test
  void exchange_amongTheMembersOfASubgroup_usesItsMemberNumbers() {
    run(
        4,
        (world, device) -> {
          if (world.rank() % 2 == 0) {
            return;
          }
          Communicator odd = world.subgroup("odd", List.of(3, 1)).orElseThrow();
          int peer = 1 - odd.rank();
          NDArray own = NDArray.of(device, DType.F32, Shape.of(3), 1, 2, world.rank());
          NDArray other = NDArray.empty(device, DType.F32, 3);
          odd.exchange(List.of(Message.send(peer, own), Message.receive(peer, other))).await();
          assertThat(other.toDoubles()).containsExactly(1, 2, 4 - world.rank());
          assertThat(odd.statistics().bytesSentTo(4 - world.rank())).isEqualTo(12);
          assertThat(world.totalStatistics().bytesSentTo(4 - world.rank())).isEqualTo(12);
          assertThat(odd.statistics().bytesSentTo(0)).isZero();
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 4, 8})
  void exchange_ofAllWithAll_equalsAllToAll(int ranks) {
    run(
        ranks,
        (world, device) -> {
          int me = world.rank();
          List<Message> messages = new ArrayList<>();
          List<NDArray> sources = new ArrayList<>();
          List<NDArray> byExchange = new ArrayList<>();
          List<NDArray> byAllToAll = new ArrayList<>();
          for (int i = 0; i < ranks; i++) {
            long outgoing = 1000L * ((me + 2 * i) % 5);
            long incoming = 1000L * ((i + 2 * me) % 5);
            sources.add(Values.array(device, DType.BF16, Shape.of(outgoing), 10L * me + i));
            byExchange.add(NDArray.empty(device, DType.BF16, incoming));
            byAllToAll.add(NDArray.empty(device, DType.BF16, incoming));
            messages.add(Message.receive(i, byExchange.get(i)));
            messages.add(Message.send(i, sources.get(i)));
          }
          world.exchange(messages).await();
          world.allToAll(sources, byAllToAll).await();
          for (int i = 0; i < ranks; i++) {
            assertThat(byExchange.get(i).toDoubles()).isEqualTo(byAllToAll.get(i).toDoubles());
            assertThat(byExchange.get(i).toDoubles())
                .isEqualTo(Values.of(DType.BF16, byExchange.get(i).size(), 10L * i + me));
          }
        });
  }
}
