// SPDX-License-Identifier: Apache-2.0
// Template functions over numbers.

import Base
import Glibc

extension TemplateFunction {
    func callNumeric(_ arguments: [TemplateValue]) throws(TemplateError) -> TemplateValue {
        switch self {
        case .int: return .int(arguments[0].integer)
        case .float64: return .float(arguments[0].number)
        case .add: return .int(arguments.reduce(0) { $0 &+ $1.integer })
        case .mul: return .int(arguments.reduce(1) { $0 &* $1.integer })
        case .sub: return .int(arguments[0].integer &- arguments[1].integer)
        case .div, .mod:
            let divisor = arguments[1].integer
            guard divisor != 0 else { throw fault("runtime error: integer divide by zero") }
            let value = arguments[0].integer
            // The only quotient that overflows.
            if value == .min, divisor == -1 { return .int(self == .div ? .min : 0) }
            return .int(self == .div ? value / divisor : value % divisor)
        case .addf: return .float(arguments.reduce(0) { $0 + $1.number })
        case .mulf: return .float(arguments.reduce(1) { $0 * $1.number })
        case .subf:
            return .float(arguments.dropFirst().reduce(arguments[0].number) { $0 - $1.number })
        case .divf:
            return .float(arguments.dropFirst().reduce(arguments[0].number) { $0 / $1.number })
        case .max:
            return .int(
                arguments.dropFirst().reduce(arguments[0].integer) { Swift.max($0, $1.integer) })
        case .min:
            return .int(
                arguments.dropFirst().reduce(arguments[0].integer) { Swift.min($0, $1.integer) })
        case .maxf:
            return .float(
                arguments.dropFirst().reduce(arguments[0].number) { Swift.max($0, $1.number) })
        case .minf:
            return .float(
                arguments.dropFirst().reduce(arguments[0].number) { Swift.min($0, $1.number) })
        case .ceil: return .float(arguments[0].number.rounded(.up))
        case .floor: return .float(arguments[0].number.rounded(.down))
        case .round: return .float(rounded(arguments))
        case .bytes:
            guard let size = ByteSize.parse(try text(arguments[0])) else {
                throw fault("unhandled size name or number: \(try text(arguments[0]))")
            }
            return .float(Double(size))
        case .duration, .durationSeconds:
            do {
                return .float(Double(try parseGoDuration(try text(arguments[0]))) / 1e9)
            } catch let error as GoDurationError {
                throw fault(error.description)
            } catch {
                throw fault("wrong type for value; expected string")
            }
        default: throw fault("\(rawValue) is no numeric function")
        }
    }

    /// Rounds to a number of decimals; a remainder from `threshold` (0.5) on rounds up.
    private func rounded(_ arguments: [TemplateValue]) -> Double {
        let value = arguments[0].number
        let threshold = arguments.count > 2 ? arguments[2].number : 0.5
        let decimals = Swift.min(Swift.max(arguments[1].integer, -300), 300)
        let scale = pow(10, Double(decimals))
        let digit = scale * value
        let remainder = digit - digit.rounded(.towardZero)
        let whole =
            remainder >= threshold ? digit.rounded(.up) : digit.rounded(.down)
        return whole / scale
    }
}
