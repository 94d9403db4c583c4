"""Coefficient functions as networks, for files that say everything in graphs."""

import dataclasses

from formats.avatar import Avatar, LinearDynamics, Network, SplatLayer
from formats.deform import driver_spans, driver_values, rest_sequence
from formats.onnx_graph import OnnxGraph


def functions_to_networks(avatar: Avatar) -> Avatar:
    """Return `avatar` with a network in place of each layer's coefficient function; the same where there is none."""
    layers, networks = [], dict(avatar.networks)
    for layer in avatar.layers:
        if isinstance(layer, SplatLayer) and isinstance(layer.dynamics, LinearDynamics) and layer.dynamics.function:
            name = f"{layer.name}.coefficients"
            while name in networks:
                name += "-2"
            networks[name] = _network(layer.dynamics, avatar)
            layer = dataclasses.replace(layer, dynamics=dataclasses.replace(layer.dynamics, function=None, network=name))
        layers.append(layer)
    if len(networks) == len(avatar.networks):
        return avatar
    return dataclasses.replace(avatar, layers=tuple(layers), networks=networks)


def _network(dynamics: LinearDynamics, avatar: Avatar) -> Network:
    function = dynamics.function
    assert function is not None
    frame = (avatar.sequence or rest_sequence(avatar.head)).take([0])
    spans = driver_spans(dynamics, driver_values(dynamics.driver, avatar.head, frame))
    graph = OnnxGraph()
    parts = [graph.input(name, 1, span.stop - span.start) for name, span in spans.items()]
    y = graph("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
    y = graph("Min", graph("Max", y, function.low[None]), function.high[None])
    c = graph.linear(y, function.linear, function.bias[None])
    if len(function.inner_bias):
        hidden = graph("Tanh", graph.linear(y, function.inner, function.inner_bias[None]))
        c = graph("Add", c, graph.linear(hidden, function.outer))
    graph.output("coefficients", c)
    return graph.network(dynamics.space)
