// Lucide draws an icon anew with whatever stands around it.
import { createElement, memo } from "react";

export const Icon = memo(({ of, ...props }) => createElement(of, props));
