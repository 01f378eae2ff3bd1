package dev.heddle.parallel.comm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What ranks are told when they do not fit together: messages name the operation, the group and the
 * ranks. What is asserted holds in each process, for the ranks that it has.
 */
@Timeout(30)
abstract class FailureConformance {
  private static final Duration SHORT = Duration.ofMillis(500);

  abstract World world();

  private RankFailedException fails(int ranks, Duration timeout, RankBody body) {
    try {
      world().run(ranks, timeout, world().program(body));
    } catch (RankFailedException failure) {
      return failure;
    }
    throw new AssertionError("the run must fail");
  }

  private static NDArray array(Device device, int size) {
    return NDArray.of(device, DType.F32, Shape.of(size), new double[size]);
  }

  // ---- a rank that throws

  @Test
  void aRankThatThrows_whileOthersWait_stopsThemWithItsException() {
    IllegalStateException boom = new IllegalStateException("boom");
    List<Throwable> seen = new ArrayList<>();
    long start = System.nanoTime();
    RankFailedException failure =
        fails(
            4,
            World.PATIENT,
            (world, device) -> {
              if (world.rank() == 2) {
                Thread.sleep(50);
                throw boom;
              }
              NDArray array = array(device, 100);
              try {
                world.allReduce(array, ReduceOp.SUM).await();
              } catch (RankStoppedException stopped) {
                synchronized (seen) {
                  seen.add(stopped);
                }
                // As programs do that add where they were.
                throw new IllegalStateException("in step 7", stopped);
              }
            });
    assertThat(failure.rank()).isEqualTo(2);
    assertThat(failure).hasMessage("rank 2 failed: java.lang.IllegalStateException: boom");
    assertThat(failure.getCause()).hasToString("java.lang.IllegalStateException: boom");
    assertThat(failure.getSuppressed()).isEmpty();
    assertThat(seen)
        .hasSize((int) world().ranksHere(4).stream().filter(rank -> rank != 2).count())
        .allSatisfy(
            stopped -> {
              assertThat(stopped)
                  .hasMessageContaining("rank 2 failed")
                  .hasMessageContaining("boom");
              assertThat(stopped.getCause()).hasToString("java.lang.IllegalStateException: boom");
            });
    assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(5));
  }

  @Test
  void aRankThatThrows_whileOthersCompute_stopsThemAtTheirNextCommunication() {
    RankFailedException failure =
        fails(
            3,
            World.PATIENT,
            (world, device) -> {
              if (world.rank() == 0) {
                throw new ArithmeticException("overflow");
              }
              Communicator pair = world.subgroup("pair", List.of(1, 2)).orElseThrow();
              while (true) {
                // Ranks 1 and 2 need nothing of rank 0 and are stopped all the same.
                pair.allReduce(1, ReduceOp.SUM);
              }
            });
    assertThat(failure.rank()).isZero();
    assertThat(failure.getCause()).hasToString("java.lang.ArithmeticException: overflow");
  }

  @Test
  void aRankThatThrows_whileOthersExchange_stopsThem() {
    RankFailedException failure =
        fails(
            2,
            World.PATIENT,
            (world, device) -> {
              if (world.rank() == 0) {
                throw new ArithmeticException("overflow");
              }
              world.exchange(List.of(Message.receive(0, array(device, 3)))).await();
            });
    assertThat(failure.rank()).isZero();
  }

  @Test
  void twoRanksThatThrow_onTheirOwn_areBothReported() {
    RankFailedException failure =
        fails(
            2,
            World.PATIENT,
            (world, device) -> {
              throw new IllegalStateException("rank " + world.rank() + " is unhappy");
            });
    assertThat(failure.getSuppressed()).hasSize(1);
    assertThat(failure.getSuppressed()[0]).hasMessageContaining("is unhappy");
  }

  // ---- a rank that throws amid messages

  /** Large enough for the elements to wait at their sender until the receiver fetches them. */
  private static final int LARGE = 200_000;

  /** Runs a body of which a rank throws "boom"; no rank may have anything to add to that. */
  private void failsCleanly(int ranks, int failing, RankBody body) {
    List<Throwable> thrownHere = new ArrayList<>();
    RankProgram program = body.program();
    long start = System.nanoTime();
    RankFailedException failure = null;
    try {
      world()
          .run(
              ranks,
              World.PATIENT,
              world -> {
                try {
                  program.run(world);
                } catch (Throwable thrown) {
                  synchronized (thrownHere) {
                    thrownHere.add(thrown);
                  }
                  throw thrown;
                }
              });
    } catch (RankFailedException failed) {
      failure = failed;
    }
    assertThat(failure)
        .hasMessage("rank " + failing + " failed: java.lang.IllegalStateException: boom");
    assertThat(failure.getSuppressed()).isEmpty();
    // Memory that is given back while messages use it would be a suppressed complaint.
    assertThat(thrownHere)
        .hasSize(world().ranksHere(ranks).size())
        .allSatisfy(thrown -> assertThat(thrown).hasNoSuppressedExceptions());
    StringWriter trace = new StringWriter();
    failure.getCause().printStackTrace(new PrintWriter(trace));
    assertThat(trace.toString()).doesNotContain("Suppressed").doesNotContain("still in use");
    assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(10));
  }

  @ParameterizedTest
  @ValueSource(ints = {2, LARGE})
  void aRankThatThrows_amidSendsThatNobodyHasReceived_leavesCleanly(int elements) {
    failsCleanly(
        2,
        0,
        (world, device) -> {
          if (world.rank() == 0) {
            for (int i = 0; i < 3; i++) {
              Handle unused = world.exchange(List.of(Message.send(1, array(device, elements))));
            }
            world.allReduce(1, ReduceOp.SUM);
            throw new IllegalStateException("boom");
          }
          world.allReduce(1, ReduceOp.SUM);
          world.barrier();
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {2, LARGE})
  void aRankThatThrows_amidReceivesThatNobodyHasSent_leavesCleanly(int elements) {
    failsCleanly(
        2,
        1,
        (world, device) -> {
          if (world.rank() == 1) {
            for (int i = 0; i < 3; i++) {
              Handle unused = world.exchange(List.of(Message.receive(0, array(device, elements))));
            }
            throw new IllegalStateException("boom");
          }
          // The other side has messages of both directions under way too.
          Message receive = Message.receive(1, array(device, elements));
          Handle unused = world.exchange(List.of(receive));
          world.barrier();
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {2, LARGE})
  void aRankThatThrows_amidMessagesThatAreBeingMoved_leavesCleanly(int elements) {
    failsCleanly(
        3,
        2,
        (world, device) -> {
          int me = world.rank();
          List<Message> ring = new ArrayList<>();
          for (int i = 0; i < 4; i++) {
            ring.add(Message.send((me + 1) % 3, array(device, elements)));
            ring.add(Message.receive((me + 2) % 3, array(device, elements)));
          }
          Handle exchanged = world.exchange(ring);
          NDArray whole = array(device, 3 * elements);
          List<NDArray> parts = new ArrayList<>();
          for (int i = 0; i < 3; i++) {
            parts.add(whole.slice(0, (long) i * elements, (i + 1L) * elements));
          }
          Handle gathered = world.allGather(parts.get(me), parts);
          if (me == 2) {
            throw new IllegalStateException("boom");
          }
          Communicator pair = world.subgroup("pair", List.of(0, 1)).orElseThrow();
          Handle reduced = pair.allReduce(array(device, elements), ReduceOp.SUM);
          exchanged.await();
          gathered.await();
          reduced.await();
          world.barrier();
        });
  }

  @Test
  void aRankThatThrows_whileItsPeerComputes_leavesCleanly() {
    failsCleanly(
        2,
        0,
        (world, device) -> {
          Handle sent =
              world.exchange(List.of(Message.send(1 - world.rank(), array(device, LARGE))));
          if (world.rank() == 0) {
            throw new IllegalStateException("boom");
          }
          // Interrupted after a second.
          while (!Thread.interrupted()) {
            Thread.onSpinWait();
          }
          sent.await();
          world.barrier();
        });
  }

  @Test
  void abort_stopsTheRun_evenIfTheProgramGoesOn() {
    RankFailedException failure =
        fails(
            2,
            World.PATIENT,
            (world, device) -> {
              Communicator both = world.subgroup("both", List.of(0, 1)).orElseThrow();
              if (world.rank() == 1) {
                Handle open = both.exchange(List.of(Message.receive(0, array(device, LARGE))));
                both.abort(new IllegalStateException("boom"));
                both.abort(new IllegalStateException("again"));
                assertThatThrownBy(open::await).isInstanceOf(RankStoppedException.class);
                assertThatThrownBy(world::barrier)
                    .isInstanceOf(RankStoppedException.class)
                    .hasMessage(
                        "stopped because rank 1 failed: java.lang.IllegalStateException: boom");
                return;
              }
              world.barrier();
            });
    assertThat(failure).hasMessage("rank 1 failed: java.lang.IllegalStateException: boom");
    assertThat(failure.getSuppressed()).isEmpty();
  }

  // ---- a rank that does not come

  @Test
  void aMissingRank_inACollective_isNamedWithWhatItDid() {
    RankFailedException failure =
        fails(
            3,
            SHORT,
            (world, device) -> {
              NDArray array = array(device, 12);
              world.broadcast(array, 1).await();
              Communicator tensorParallel =
                  world.subgroup("language.tp", List.of(0, 1, 2)).orElseThrow();
              if (world.rank() == 1) {
                computeForTooLong();
              }
              tensorParallel.allReduce(array, ReduceOp.SUM).await();
            });
    assertThat(failure.getCause()).isInstanceOf(CommunicationTimeoutException.class);
    assertThat(failure.getCause())
        .hasMessageContaining(
            "allReduce F32[12] SUM in language.tp (ranks 0,1,2), operation 0 timed out after 0.5 s;"
                + " came: rank 0, rank 2; did not come: rank 1 (last completed broadcast F32[12]"
                + " root 1 in world (ranks 0,1,2), operation 0")
        .hasMessageContaining("FailureConformance.computeForTooLong");
  }

  private static void computeForTooLong() throws InterruptedException {
    Thread.sleep(1_200);
  }

  @Test
  void aMissingRank_failsTheOperationOnEveryRankInIt() {
    List<Integer> timedOut = new ArrayList<>();
    fails(
        4,
        SHORT,
        (world, device) -> {
          if (world.rank() == 3) {
            Thread.sleep(1_000);
          }
          try {
            world.barrier();
          } catch (CommunicationTimeoutException timeout) {
            synchronized (timedOut) {
              timedOut.add(world.rank());
            }
            Thread.sleep(500);
            throw timeout;
          }
        });
    // Rank 3 comes late to an operation that has failed, and is told the same.
    assertThat(timedOut).containsExactlyInAnyOrderElementsOf(world().ranksHere(4));
  }

  @Test
  void aMissingRank_inAnotherCollective_isNamedWithThat() {
    RankFailedException failure =
        fails(
            2,
            SHORT,
            (world, device) -> {
              List<Integer> both = List.of(0, 1);
              String mine = world.rank() == 0 ? "tp" : "dp";
              world.subgroup(mine, both).orElseThrow().barrier();
            });
    assertThat(failure.getCause()).isInstanceOf(CommunicationTimeoutException.class);
    assertThat(failure.getCause().getMessage())
        .satisfiesAnyOf(
            text ->
                assertThat(text)
                    .contains("barrier in tp (ranks 0,1), operation 0 timed out")
                    .containsPattern(
                        "rank 1 .last (posted|failed in) barrier in dp .ranks 0,1., operation 0"),
            text ->
                assertThat(text)
                    .contains("barrier in dp (ranks 0,1), operation 0 timed out")
                    .containsPattern(
                        "rank 0 .last (posted|failed in) barrier in tp .ranks 0,1., operation 0"));
  }

  @Test
  void aRankThatHasEnded_withoutComing_isNamedAtOnce() {
    RankFailedException failure =
        fails(
            2,
            World.PATIENT,
            (world, device) -> {
              if (world.rank() == 0) {
                world.allReduce(1.5, ReduceOp.SUM);
              }
            });
    assertThat(failure.getCause())
        .isInstanceOf(CommunicationException.class)
        .hasMessageContaining(
            "allReduce of host values of 1 doubles SUM in world (ranks 0,1), operation 0 cannot"
                + " complete")
        .hasMessageContaining("rank 1 (has not communicated yet; its program has ended)");
  }

  @Test
  void aRankThatHasEnded_doesNotDisturbTheOthers() {
    world()
        .run(
            3,
            World.PATIENT,
            world()
                .program(
                    (world, device) -> {
                      if (world.rank() == 0) {
                        return;
                      }
                      Communicator pair = world.subgroup("pair", List.of(1, 2)).orElseThrow();
                      Thread.sleep(20L * world.rank());
                      assertThat(pair.allReduce(1, ReduceOp.SUM)).isEqualTo(2);
                    }));
  }

  // ---- calls that do not fit

  private Throwable mismatch(RankBody body) {
    RankFailedException failure = fails(2, World.PATIENT, body);
    assertThat(failure.getCause()).isInstanceOf(CommunicationMismatchException.class);
    return failure.getCause();
  }

  @Test
  void differentCollectives_areNamedWithTheirRanks() {
    Throwable mismatch =
        mismatch(
            (world, device) -> {
              if (world.rank() == 0) {
                world.allReduce(array(device, 12), ReduceOp.SUM).await();
              } else {
                world.broadcast(array(device, 12), 0).await();
              }
            });
    assertThat(mismatch)
        .hasMessageContaining("world (ranks 0,1), operation 0: ranks called different collectives")
        .hasMessageContaining("rank 0 allReduce F32[12] SUM")
        .hasMessageContaining("rank 1 broadcast F32[12] root 0");
  }

  @Test
  void differentShapes_areNamed() {
    Throwable mismatch =
        mismatch(
            (world, device) ->
                world.allReduce(array(device, 12 + world.rank()), ReduceOp.SUM).await());
    assertThat(mismatch).hasMessageContaining("F32[12]").hasMessageContaining("F32[13]");
  }

  @Test
  void differentDtypes_areNamed() {
    Throwable mismatch =
        mismatch(
            (world, device) -> {
              DType dtype = world.rank() == 0 ? DType.F32 : DType.F64;
              NDArray array = NDArray.of(device, dtype, Shape.of(2), 1, 2);
              world.allReduce(array, ReduceOp.SUM).await();
            });
    assertThat(mismatch).hasMessageContaining("F32[2]").hasMessageContaining("F64[2]");
  }

  @Test
  void differentReductions_areNamed() {
    Throwable mismatch =
        mismatch(
            (world, device) ->
                world.allReduce(1.0, world.rank() == 0 ? ReduceOp.SUM : ReduceOp.MAX));
    assertThat(mismatch).hasMessageContaining("SUM").hasMessageContaining("MAX");
  }

  @Test
  void differentRoots_areNamed() {
    Throwable mismatch =
        mismatch((world, device) -> world.broadcast(array(device, 1), world.rank()).await());
    assertThat(mismatch).hasMessageContaining("root 0").hasMessageContaining("root 1");
  }

  @Test
  void partsThatDoNotFit_areNamed() {
    Throwable mismatch =
        mismatch(
            (world, device) -> {
              List<NDArray> wholes = List.of(array(device, 3), array(device, 4));
              world.allGather(array(device, 3), wholes).await();
            });
    assertThat(mismatch)
        .hasMessageContaining("sizes do not fit")
        .hasMessageContaining("rank 1 allGather F32[3] to [3]+[4] has 3 elements for rank ")
        .hasMessageContaining("wants 4 from it");
  }

  @Test
  void messagesThatDoNotFit_areNamed() {
    Throwable mismatch =
        mismatch(
            (world, device) -> {
              if (world.rank() == 0) {
                world.exchange(List.of(Message.send(1, array(device, 5)))).await();
              } else {
                world.exchange(List.of(Message.receive(0, array(device, 6)))).await();
              }
            });
    assertThat(mismatch)
        .hasMessageContaining("exchange in world (ranks 0,1): message 0 from rank 0 to rank 1")
        .hasMessageContaining("sent F32 x 5")
        .hasMessageContaining("received as F32 x 6");
  }

  @Test
  void aReceiveWithoutSend_timesOutNamingTheSender() {
    RankFailedException failure =
        fails(
            2,
            SHORT,
            (world, device) -> {
              NDArray array = array(device, 5);
              if (world.rank() == 0) {
                world.exchange(List.of(Message.receive(1, array))).await();
              } else {
                computeForTooLong();
              }
            });
    assertThat(failure.getCause())
        .isInstanceOf(CommunicationTimeoutException.class)
        .hasMessageContaining("exchange of rank 0 in world (ranks 0,1) timed out after 0.5 s")
        .hasMessageContaining(
            "message 0 from rank 1 to rank 0 (F32 x 5) is waited for, but rank 1 has not posted"
                + " the send")
        .hasMessageContaining("rank 1 (has not communicated yet; is at ");
  }

  @Test
  void aSendThatNobodyReceives_isReportedAtTheEnd() {
    try {
      world()
          .run(
              2,
              World.PATIENT,
              world -> {
                if (world.rank() == 0) {
                  leaveASend(world);
                }
              });
    } catch (CommunicationException left) {
      assertThat(left)
          .hasMessageContaining(
              "all ranks ended, but message 0 from rank 0 to rank 1 (F32 x 2) was sent, but rank 1"
                  + " has not posted the receive");
      return;
    }
    throw new AssertionError("the run must fail");
  }

  private static void leaveASend(Communicator world) {
    CpuDevice device = CpuDevice.open("cpu", 1, CpuBackend.REFERENCE);
    MemoryScope scope = MemoryScope.open();
    world.exchange(List.of(Message.send(1, array(device, 2))));
    assertThat(scope).isNotNull();
  }

  @Test
  void aFailedGroup_staysFailed() {
    fails(
        2,
        World.PATIENT,
        (world, device) -> {
          assertThatThrownBy(() -> world.broadcast(array(device, 1), world.rank()).await())
              .isInstanceOf(CommunicationMismatchException.class);
          assertThatThrownBy(world::barrier).isInstanceOf(CommunicationMismatchException.class);
          throw new IllegalStateException("seen");
        });
  }

  // ---- arguments that no rank could mean

  @Test
  void senselessArguments_areRefusedByTheCall() {
    world()
        .run(
            2,
            World.PATIENT,
            world()
                .program(
                    (world, device) -> {
                      NDArray array = array(device, 4);
                      NDArray pixels = NDArray.of(device, DType.U8, Shape.of(1), 1.0);
                      assertThatThrownBy(() -> world.broadcast(array, 2))
                          .hasMessage(
                              "broadcast in world (ranks 0,1): got root 2, wanted a member number"
                                  + " from 0 to 1");
                      assertThatThrownBy(() -> world.allReduce(pixels, ReduceOp.SUM))
                          .hasMessageContaining("can be reduced");
                      assertThatThrownBy(() -> world.allGather(array, List.of(array)))
                          .hasMessageContaining("got 1 arrays, wanted one for each of 2 members");
                      assertThatThrownBy(
                              () ->
                                  world.allReduce(
                                      array.slice(0, 0, 1).expand(Shape.of(3)), ReduceOp.SUM))
                          .hasMessageContaining("dim 0 is broadcast");
                      assertThatThrownBy(() -> world.exchange(List.of(Message.send(5, array))))
                          .hasMessageContaining("send of F32 x 4 to member 5, wanted a member");
                      assertThatThrownBy(() -> world.subgroup("none", List.of(0, 7)))
                          .hasMessageContaining("got ranks [0, 7], wanted distinct members");
                      assertThatThrownBy(() -> Message.sendRows(1, array, new long[] {0, 1}, 0, 1))
                          .hasMessageContaining("rows are picked from a matrix");
                      NDArray matrix = array.reshape(2, 2);
                      assertThatThrownBy(() -> Message.sendRows(1, matrix, new long[] {1, 3}, 0, 1))
                          .hasMessageContaining("rows [1,3) are not within F32[2,2]");
                      assertThatThrownBy(() -> Message.sendRows(1, matrix, new long[] {0, 1}, 1, 2))
                          .hasMessageContaining("columns [1,3) are not within F32[2,2]");
                      // None of these calls was posted anywhere.
                      world.barrier();
                    }));
  }
}
