// SPDX-License-Identifier: Apache-2.0
// The executable: one file per family of subcommands.

import ArgumentParser
import Base
import Shell

@main
struct Tern: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tern",
        abstract: "Metrics, logs and traces in one binary, linked by service and trace id.",
        version: Base.version,
        subcommands: [
            ServeCommand.self, QueryCommand.self, ExplainCommand.self, TraceCommand.self,
            TailCommand.self, WhyCommand.self, ServiceCommand.self, ServicesCommand.self,
            LabelsCommand.self, SeriesCommand.self, ShellCommand.self,
            DemoCommand.self, CheckCommand.self, TestCommand.self, RulesCommand.self,
            CompletionsCommand.self, VersionCommand.self,
        ])

    /// Runs the command. Usage errors end with 2, where the argument parser's own code is 64.
    static func main() async {
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            guard exitCode(for: error) == .validationFailure else { exit(withError: error) }
            Terminal.complain(fullMessage(for: error))
            exit(withError: ExitCode(ShellExit.usage.rawValue))
        }
    }
}

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Print the version.")

    func run() { print("tern \(Base.version)") }
}

struct CompletionsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "completions",
        abstract: "Print the script that completes commands and flags in bash, zsh or fish.",
        discussion: "bash: source <(tern completions bash). zsh: tern completions zsh > a file "
            + "_tern in $fpath. fish: tern completions fish | source.")
    @Argument(
        help: "bash, zsh or fish.", completion: .list(CompletionShell.allCases.map(\.rawValue)))
    var shell: String

    func run() throws {
        guard let shell = CompletionShell(rawValue: shell) else {
            throw ValidationError("completions are for bash, zsh and fish, not \(shell)")
        }
        Terminal.write(Tern.completionScript(for: shell) + "\n")
    }
}
