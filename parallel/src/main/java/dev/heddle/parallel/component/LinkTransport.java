package dev.heddle.parallel.component;

import dev.heddle.parallel.comm.CommunicationException;
import dev.heddle.parallel.pipeline.Instruction.Direction;
import java.util.function.BooleanSupplier;

/** One rank's end of a link: what it sends, and what it waits for. */
sealed interface LinkTransport permits BoundaryTransport, StageTransport {
  /** Begins to send what this rank has to send; what it reads stays as it is until it is sent. */
  void send(int microBatch, Direction direction);

  /** Waits for what comes to this rank and lays it ready for the stage that takes it in. */
  void receive(int microBatch, Direction direction);

  /** Waits until nothing of a microbatch that this rank began to send is under way. */
  void awaitSent(int microBatch);

  /** Forgets what it has kept of a microbatch that is done. */
  void forget(int microBatch);

  /** Forgets what a step that ended early has left. */
  void clear();

  /**
   * Lets go of what a message still holds, if it has been taken: after a step that failed, so what
   * the message has to say of that is not news.
   */
  static boolean settle(BooleanSupplier isSent) {
    try {
      // Whoever finds that a message has been taken lets go of what it was sent from.
      return isSent.getAsBoolean();
    } catch (CommunicationException e) {
      // It has failed, and with that it has let go.
      return true;
    }
  }
}
