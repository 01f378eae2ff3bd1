package dev.heddle.bindings;

import java.util.Locale;

/** The operating system and processor, in the words that native artifacts use. */
record Platform(System system, String architecture) {

  enum System {
    LINUX("linux"),
    MACOS("macosx"),
    WINDOWS("windows"),
    OTHER("other");

    private final String artifactName;

    System(String artifactName) {
      this.artifactName = artifactName;
    }
  }

  static Platform current() {
    return of(
        java.lang.System.getProperty("os.name", ""), java.lang.System.getProperty("os.arch", ""));
  }

  /** From the values of {@code os.name} and {@code os.arch}. */
  static Platform of(String osName, String osArch) {
    String name = osName.toLowerCase(Locale.ROOT);
    System system =
        name.startsWith("linux")
            ? System.LINUX
            : name.startsWith("mac")
                ? System.MACOS
                : name.startsWith("windows") ? System.WINDOWS : System.OTHER;
    String architecture =
        switch (osArch.toLowerCase(Locale.ROOT)) {
          case "amd64", "x86_64", "x64" -> "x86_64";
          case "aarch64", "arm64" -> "arm64";
          default -> osArch;
        };
    return new Platform(system, architecture);
  }

  /** The Maven classifier, for example {@code linux-x86_64}. */
  String classifier() {
    return system.artifactName + "-" + architecture;
  }
}
