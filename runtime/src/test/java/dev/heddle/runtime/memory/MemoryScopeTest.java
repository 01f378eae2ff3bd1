package dev.heddle.runtime.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class MemoryScopeTest {
  /** A handle as an array is one. */
  private record Handle(Block block) implements Owned {}

  private MemoryPool pool;

  @BeforeEach
  void open() {
    pool = new MemoryPool("heap", new HeapSource());
  }

  /** Fails if a test left a block in use. */
  @AfterEach
  void close() {
    pool.close();
  }

  static final class HeapSource implements MemoryPool.Source {
    @Override
    public MemorySegment allocate(long byteSize) {
      return MemorySegment.ofArray(new byte[(int) byteSize]);
    }

    @Override
    public void close() {}
  }

  private Handle allocate() {
    return new Handle(pool.allocate(100));
  }

  @Test
  void close_returnsWhatWasAllocatedInside() {
    Block outer;
    try (MemoryScope scope = MemoryScope.open()) {
      outer = allocate().block();
      Block inner;
      try (MemoryScope nested = MemoryScope.open()) {
        inner = allocate().block();
        assertThat(MemoryScope.current()).isSameAs(nested);
      }
      assertThat(inner.references()).isZero();
      assertThat(outer.references()).isEqualTo(1);
      assertThat(MemoryScope.current()).isSameAs(scope);
      assertThat(scope.isClosed()).isFalse();
    }
    assertThat(outer.references()).isZero();
    assertThat(pool.liveBytes()).isZero();
  }

  @Test
  void allocate_withoutScope_saysWhatToWrite() {
    assertThatThrownBy(this::allocate)
        .isInstanceOf(IllegalStateException.class)
        .hasMessageStartingWith("no MemoryScope is open on thread ")
        .hasMessageContaining("try (MemoryScope scope = MemoryScope.open()) { ... }");
    assertThat(pool.liveBytes()).isZero();
  }

  @Test
  void keep_handsToTheScopeAround() {
    try (MemoryScope outer = MemoryScope.open()) {
      Handle kept;
      try (MemoryScope inner = MemoryScope.open()) {
        allocate();
        kept = inner.keep(allocate());
        allocate();
        assertThat(inner.keep(kept)).isSameAs(kept); // no longer its own: left where it is
      }
      assertThat(kept.block().references()).isEqualTo(1);
      assertThat(kept.block().owner).isSameAs(outer);
    }
    assertThat(pool.liveBytes()).isZero();
  }

  @Test
  void keep_inTheOutermostScope_isRefused() {
    try (MemoryScope scope = MemoryScope.open()) {
      Handle handle = allocate();
      assertThatThrownBy(() -> scope.keep(handle))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage("MemoryScope.keep: there is no scope around this one to hand the value to");
    }
  }

  @Test
  void adopt_takesFromAnyScopeOfTheThread() {
    try (MemoryScope outer = MemoryScope.open()) {
      Handle inOuter = allocate();
      Handle inInner;
      try (MemoryScope inner = MemoryScope.open()) {
        inInner = outer.adopt(allocate());
        inner.adopt(inOuter);
        inner.adopt(inOuter);
      }
      assertThat(inOuter.block().references()).isZero();
      assertThat(inInner.block().references()).isEqualTo(1);
      inInner.block().retain();
      inInner.block().disown();
      assertThat(inInner.block().references()).isEqualTo(1);
      outer.adopt(inInner); // owned by no scope: adds a reference of its own
      assertThat(inInner.block().references()).isEqualTo(2);
      inInner.block().release();
    }
    assertThat(pool.liveBytes()).isZero();
  }

  @Test
  void retain_outlivesTheScopeUntilReleased() {
    Block block;
    try (MemoryScope scope = MemoryScope.open()) {
      block = allocate().block();
      block.retain();
      block.retain();
    }
    assertThat(block.references()).isEqualTo(2);
    int generation = block.generation();
    block.release();
    assertThat(block.generation()).isEqualTo(generation);
    block.release();
    assertThat(block.generation()).isEqualTo(generation + 1);
    assertThat(pool.liveBytes()).isZero();
    assertThatThrownBy(block::release).hasMessage("Block: released more often than retained");
    assertThatThrownBy(block::retain)
        .hasMessage("Block: retain after the memory was given back to its pool");
  }

  @Test
  void release_ofTheScopesReference_isRefusedAndChangesNothing() {
    try (MemoryScope scope = MemoryScope.open()) {
      Block block = allocate().block();
      assertThatThrownBy(block::release)
          .isInstanceOf(IllegalStateException.class)
          .hasMessageStartingWith("Block: released more often than retained; the last reference");
      assertThat(block.references()).isEqualTo(1);
    }
    assertThat(pool.liveBytes()).isZero();
  }

  @Test
  void disown_amongOthers_returnsThatOneOnly() {
    try (MemoryScope scope = MemoryScope.open()) {
      List<Block> blocks = new ArrayList<>();
      for (int i = 0; i < 50; i++) {
        blocks.add(allocate().block());
      }
      for (int i = 0; i < 50; i += 3) {
        blocks.get(i).disown();
        blocks.get(i).disown(); // a second time does nothing
      }
      for (int i = 0; i < 50; i++) {
        assertThat(blocks.get(i).references()).isEqualTo(i % 3 == 0 ? 0 : 1);
      }
      scope.clear();
      assertThat(pool.liveBytes()).isZero();
      allocate(); // a cleared scope is still open
    }
    assertThat(pool.liveBytes()).isZero();
  }

  @Test
  void close_outOfOrder_isRefused() {
    MemoryScope outer = MemoryScope.open();
    MemoryScope inner = MemoryScope.open();
    assertThatThrownBy(outer::close)
        .isInstanceOf(IllegalStateException.class)
        .hasMessage(
            "MemoryScope.close: a scope opened inside this one is still open; close innermost"
                + " first");
    inner.close();
    outer.close();
    outer.close(); // closing again does nothing
    assertThat(outer.isClosed()).isTrue();
    Handle handle;
    try (MemoryScope scope = MemoryScope.open()) {
      handle = allocate();
      assertThatThrownBy(() -> outer.adopt(handle)).hasMessage("MemoryScope: used after close");
      assertThatThrownBy(() -> inner.keep(handle)).hasMessage("MemoryScope: used after close");
      assertThatThrownBy(inner::clear).hasMessage("MemoryScope: used after close");
    }
  }

  @Test
  void use_fromAnotherThread_isRefused() throws InterruptedException {
    try (MemoryScope scope = MemoryScope.open()) {
      Handle handle = allocate();
      List<Throwable> failures = new ArrayList<>();
      Thread thread =
          new Thread(
              () -> {
                failures.add(failureOf(scope::close));
                failures.add(failureOf(scope::clear));
                failures.add(failureOf(MemoryScope::current));
                try (MemoryScope own = MemoryScope.open()) {
                  failures.add(failureOf(() -> own.adopt(handle)));
                }
              },
              "stranger");
      thread.start();
      thread.join();
      for (int i : new int[] {0, 1, 3}) {
        assertThat(failures.get(i))
            .isInstanceOf(IllegalStateException.class)
            .hasMessage(
                "MemoryScope: opened by thread "
                    + Thread.currentThread().getName()
                    + ", used by stranger");
      }
      assertThat(failures.get(2)).hasMessageContaining("no MemoryScope is open on thread stranger");
      assertThat(handle.block().references()).isEqualTo(1);
    }
  }

  private static Throwable failureOf(Runnable action) {
    AtomicReference<Throwable> failure = new AtomicReference<>();
    try {
      action.run();
    } catch (IllegalStateException thrown) {
      failure.set(thrown);
    }
    return failure.get();
  }

  @Test
  void temporaries_lastingScope_isTheOneAround() {
    try (MemoryScope step = MemoryScope.open()) {
      try (MemoryScope layer = MemoryScope.temporaries();
          MemoryScope inner = MemoryScope.temporaries()) {
        assertThat(MemoryScope.current()).isSameAs(inner);
        assertThat(MemoryScope.currentLasting()).isSameAs(step);
        Block temporary = allocate().block();
        Block saved = allocate().block();
        saved.retain();
        inner.close();
        assertThat(temporary.references()).isZero();
        assertThat(saved.references()).isEqualTo(1);
        saved.release();
      }
      assertThat(MemoryScope.currentLasting()).isSameAs(step);
    }
  }

  /** Records that it was let go. */
  private static final class Note implements Resource {
    private final List<String> log;
    private final String name;
    private int index;

    Note(List<String> log, String name) {
      this.log = log;
      this.name = name;
    }

    @Override
    public void releaseResource() {
      log.add(name);
    }

    @Override
    public int scopeIndex() {
      return index;
    }

    @Override
    public void scopeIndex(int newIndex) {
      index = newIndex;
    }
  }

  @Test
  void resources_attached_areReleasedOnceUnlessDetached() {
    List<String> log = new ArrayList<>();
    try (MemoryScope scope = MemoryScope.open()) {
      List<Note> notes = new ArrayList<>();
      for (int i = 0; i < 40; i++) {
        notes.add(new Note(log, "n" + i));
        scope.attach(notes.get(i));
      }
      for (int i = 0; i < 40; i += 2) {
        scope.detach(notes.get(i));
      }
      scope.attach(notes.get(0));
    }
    List<String> expected = new ArrayList<>(List.of("n0"));
    for (int i = 1; i < 40; i += 2) {
      expected.add("n" + i);
    }
    assertThat(log).containsExactlyInAnyOrderElementsOf(expected);
  }

  @Test
  void close_withAFailingResource_stillEndsTheScope() {
    MemoryScope scope = MemoryScope.open();
    Handle handle = allocate();
    scope.attach(
        new Resource() {
          @Override
          public void releaseResource() {
            throw new UnsupportedOperationException("cannot let go");
          }

          @Override
          public int scopeIndex() {
            return 0;
          }

          @Override
          public void scopeIndex(int index) {}
        });
    assertThatThrownBy(scope::close).hasMessage("cannot let go");
    assertThat(scope.isClosed()).isTrue();
    assertThatThrownBy(MemoryScope::current).isInstanceOf(IllegalStateException.class);
    assertThat(handle.block().references()).isZero();
  }
}
