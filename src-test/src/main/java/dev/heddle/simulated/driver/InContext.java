package dev.heddle.simulated.driver;

/** What a context owns and takes with it when it ends. */
interface InContext {
  /** The owner. */
  SimulatedContext context();

  /** Whether it should have been destroyed by its user before its context ends. */
  default boolean counts() {
    return true;
  }
}
