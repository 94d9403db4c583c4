/** What is read of an ONNX graph before it is run. */
import { describe, expect, it } from "vitest";
import { AvatarFormatError } from "../src/errors.ts";
import { checkOperators, operatorsOf } from "../src/posing/onnx_operators.ts";
import { goldenAvatar } from "./files.ts";

const bytes = (field: number, inner: number[]) => [8 * field + 2, inner.length, ...inner];
const text = (field: number, value: string) => bytes(field, [...new TextEncoder().encode(value)]);
const graphOf = (operator: string) => Uint8Array.from(bytes(7, bytes(1, text(4, operator))));

describe("operators", () => {
  it("of golden networks are found, and plain", () => {
    for (const name of ["shells.plain", "decoded.plain", "deformed.plain", "coefficients.small"]) {
      for (const network of goldenAvatar(`../layers/${name}.glb`).networks.values()) {
        const found = operatorsOf(network.onnx, network.name);
        expect(found.size).toBeGreaterThan(0);
        checkOperators(network.onnx, network.name);
      }
    }
  });

  it.each(["Loop", "If", "Scan"])("that are %s are refused", (operator) => {
    expect(() => checkOperators(graphOf(operator), "x")).toThrow(operator);
    checkOperators(graphOf("MatMul"), "x");
  });

  it("in functions of the file's own are refused", () => {
    const model = Uint8Array.from([...graphOf("MatMul"), 0xca, 0x01, 2, 0x0a, 0]);
    expect(() => checkOperators(model, "x")).toThrow(/own/);
  });

  it("of something else or of a part are an error, wherever it is cut", () => {
    expect(() => checkOperators(new Uint8Array(0), "x")).toThrow(AvatarFormatError);
    const [network] = goldenAvatar("../layers/shells.plain.glb").networks.values();
    for (let cut = 1; cut < network.onnx.length; cut += 97) {
      expect(() => checkOperators(network.onnx.slice(0, cut), "x")).toThrow(AvatarFormatError);
    }
  });
});
