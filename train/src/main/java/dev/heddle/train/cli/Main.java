package dev.heddle.train.cli;

import java.util.ServiceLoader;

/** Where the program begins; {@code ./heddle} starts it. */
public final class Main {
  private Main() {}

  /**
   * Runs a command and ends the process with its exit code.
   *
   * @param arguments the words after {@code heddle}
   */
  public static void main(String[] arguments) {
    // Pictures are decoded and encoded; nothing is ever shown.
    System.setProperty("java.awt.headless", "true");
    Application application =
        ServiceLoader.load(Application.class)
            .findFirst()
            .orElseThrow(() -> new IllegalStateException("this build of Heddle has no trainer"));
    if (arguments.length > 1 && arguments[0].equals("train")) {
      application.prepareToTrain();
    }
    System.exit(HeddleCommand.run(application, System.out, System.err, arguments));
  }
}
