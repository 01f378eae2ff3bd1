package dev.heddle.runtime.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Memory set aside for work that is recorded now and runs later. */
class ReservationTest {
  private final MemoryPool pool = new MemoryPool("heap", new MemoryScopeTest.HeapSource());
  private MemoryScope scope;

  @BeforeEach
  void open() {
    scope = MemoryScope.open();
  }

  @AfterEach
  void close() {
    scope.close();
    pool.close();
  }

  private Block use(long bytes) {
    Block block = pool.allocate(bytes);
    block.disown();
    return block;
  }

  @Test
  void blocksAreReusedWithinTheReservation_andByNobodyAfterIt() {
    MemoryPool.Reservation reservation = pool.reserve();
    Block first = use(64);
    assertThat(use(64)).isSameAs(first);
    reservation.end();

    assertThat(reservation.byteSize()).isEqualTo(64);
    assertThat(pool.liveBytes()).as("the reservation's").isEqualTo(64);
    Block other = use(64);
    assertThat(other).isNotSameAs(first);

    reservation.close();
    assertThat(pool.liveBytes()).isZero();
    assertThat(use(64)).isSameAs(first);
  }

  @Test
  void blockStillInUse_staysSetAsideWhenItsUserIsDone() {
    MemoryPool.Reservation reservation = pool.reserve();
    Block kept = pool.allocate(64);
    reservation.end();
    kept.disown();
    assertThat(use(64)).isNotSameAs(kept);
    reservation.close();
    reservation.close();
    assertThat(use(64)).isSameAs(kept);
  }

  @Test
  void blockFromBefore_isNotSetAside_unlessItIsTakenAgain() {
    Block before = pool.allocate(64);
    Block alsoBefore = pool.allocate(128);
    MemoryPool.Reservation reservation = pool.reserve();
    before.disown();
    alsoBefore.disown();
    assertThat(use(64)).isSameAs(before);
    reservation.end();
    assertThat(reservation.byteSize()).isEqualTo(64);
    assertThat(use(128)).isSameAs(alsoBefore);
    reservation.close();
  }

  @Test
  void resume_handsItsOwnBlocksOutFirst() {
    MemoryPool.Reservation reservation = pool.reserve();
    Block first = use(64);
    reservation.end();
    Block other = use(64);
    reservation.resume();
    assertThat(use(64)).isSameAs(first);
    Block held = pool.allocate(64);
    assertThat(held).isSameAs(first);
    assertThat(use(64)).as("from the pool, and set aside from now on").isSameAs(other);
    reservation.end();
    held.disown();
    assertThat(reservation.byteSize()).isEqualTo(128);
    reservation.close();
    assertThat(pool.liveBytes()).isZero();
  }

  @Test
  void twoAtATime_andResumeAfterClose_areRefused() {
    MemoryPool.Reservation reservation = pool.reserve();
    assertThatThrownBy(pool::reserve).hasMessageContaining("a reservation is open already");
    reservation.close();
    assertThatThrownBy(reservation::resume).hasMessageContaining("the reservation is closed");
    pool.reserve().close();
  }

  @Test
  void reservationThatIsNotClosed_isALeakThatTheDetectorNames() {
    MemoryPool other = new MemoryPool("leaky", new MemoryScopeTest.HeapSource());
    MemoryPool.Reservation reservation = other.reserve();
    other.borrow(64).release();
    reservation.end();
    assertThatThrownBy(other::close).hasMessageContaining("LEAK in leaky: 64 bytes");
  }
}
