package dev.heddle.simulated.driver;

import dev.heddle.simulated.memory.SimulatedFault;
import java.util.ArrayDeque;
import org.jspecify.annotations.Nullable;

/**
 * A queue of work. Items are counted, so that a place in the queue is a number: it is reached when
 * that many items have run.
 */
final class SimulatedStream implements InContext {
  private final SimulatedContext context;
  private final boolean blocking;
  private final ArrayDeque<GraphNode> queue = new ArrayDeque<>();
  private long queued;
  private long done;
  private boolean running;
  @Nullable Capture capture;

  SimulatedStream(SimulatedContext context, boolean blocking) {
    this.context = context;
    this.blocking = blocking;
    context.streams.add(this);
  }

  @Override
  public SimulatedContext context() {
    return context;
  }

  boolean isBlocking() {
    return blocking;
  }

  boolean isIdle() {
    return queue.isEmpty();
  }

  /** What would run next, for messages. */
  String head() {
    GraphNode node = queue.peekFirst();
    return node == null ? "nothing" : node.what();
  }

  /** How many items were queued so far. */
  long place() {
    return queued;
  }

  /** Queues work, or records it if the stream is being captured. */
  void give(GraphNode node) {
    Capture recording = capture;
    if (recording != null) {
      recording.add(this, node);
      return;
    }
    enqueue(node);
  }

  /** Queues work whatever else. */
  void enqueue(GraphNode node) {
    queue.addLast(node);
    queued++;
    if (!context.machine.options.lazy()) {
      runAll();
    }
    context.machine.notifyAll();
  }

  /** Runs up to a place in the queue; false if the work there needs a call of another thread. */
  boolean runTo(long place) {
    while (done < place) {
      if (!step()) {
        return false;
      }
    }
    return true;
  }

  boolean reached(long place) {
    return done >= place;
  }

  boolean runAll() {
    return runTo(queued);
  }

  /** Runs the next item; false if there is none or it cannot run yet. */
  boolean step() {
    GraphNode node = queue.peekFirst();
    // Work that drives other streams may come back to this one, which then cannot go on.
    if (node == null || running) {
      return false;
    }
    running = true;
    try {
      if (!node.work().run()) {
        return false;
      }
    } catch (SimulatedFault fault) {
      context.lose(fault, node.what());
      return true;
    } catch (RuntimeException | Error broken) {
      // Not the program's fault, but no reason to try the same work for ever.
      System.getLogger("dev.heddle.simulated.driver")
          .log(System.Logger.Level.ERROR, "the simulator failed in " + node.what(), broken);
      context.lose(
          new SimulatedFault(
              SimulatedFault.Kind.INVALID_OPERAND, "the simulator itself failed: " + broken),
          node.what());
      return true;
    } finally {
      running = false;
    }
    if (!queue.isEmpty()) {
      queue.removeFirst();
      done++;
      context.machine.notifyAll();
    }
    return true;
  }

  /** Drops what is queued: the context is lost or ends. */
  void abandon() {
    queue.clear();
    done = queued;
    context.machine.notifyAll();
  }

  @Override
  public String toString() {
    return "a stream of " + context.gpu;
  }
}
